import Foundation
public import Logging
public import ServiceLifecycle
import Synchronization

/// The redis-server of a gate that was given none: started, watched, started again, stopped.
///
/// It stands first among the services of a group: those are stopped in the reverse order, and the gate has decisions to write
/// until its own end. Call ``start()`` before what needs Redis; ``run()`` then watches over it.
public final class EmbeddedRedis: Service, Sendable {
    private enum Event: Sendable {
        case ended(pid: Int32, ProcessHandle.End)
        case retry
        case stop
    }

    private struct State {
        var lock: StateLock?
        var tenant: RedisHouse.Tenant?
        var isStopping = false
        /// Failures in a row, by which the next try is put off.
        var failures = 0
        var began: Int64 = 0
    }

    /// The address of the server.
    public let url: String

    private let house: RedisHouse
    private let logger: Logger
    private let state: SharedState
    private let events: AsyncStream<Event>
    private let eventSource: AsyncStream<Event>.Continuation

    private final class SharedState: Sendable {
        let value = Mutex(State())
    }

    /// - Parameters:
    ///   - directory: Where it keeps its data, its socket and its log.
    ///   - searchPath: Where redis-server is looked for; nil: the variable PATH.
    ///   - logger: Where to say what happens to it.
    public init(directory: StateDirectory, searchPath: String? = nil, logger: Logger) {
        let state = SharedState()
        self.url = "unix://" + directory.redisSocket
        self.house = RedisHouse(
            directory: directory,
            searchPath: searchPath ?? ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
            logger: logger,
            isStopping: { state.value.withLock { $0.isStopping } }
        )
        self.logger = logger
        self.state = state
        (self.events, self.eventSource) = AsyncStream.makeStream()
    }

    /// The process that serves; nil before ``start()``, after ``stop()``, and while it is being started again.
    public var processID: Int32? {
        state.value.withLock { state in state.tenant.flatMap { $0.process.isRunning ? $0.process.pid : nil } }
    }

    /// Whether the server belongs to another gate, which stops it.
    public var isShared: Bool { state.value.withLock { $0.tenant?.tenure == .shared } }

    var tenure: RedisTenure? { state.value.withLock { $0.tenant?.tenure } }

    /// Returns when the server answers: the one it started, the one it found, or another gate's.
    ///
    /// - Throws: ``StartupError``, where there is no redis-server or it does not come up. Nothing is left running then.
    public func start() async throws {
        try state.value.withLock { state in
            guard !state.isStopping else {
                throw StartupError("The embedded redis-server was stopped: make a new one.")
            }
        }
        do {
            try await withTaskCancellationHandler {
                try await obtain()
            } onCancel: {
                state.value.withLock { $0.isStopping = true }
            }
        } catch {
            state.value.withLock { $0.lock = nil }
            throw error
        }
    }

    /// Keeps the server running until the graceful shutdown, or until the task is cancelled; then stops it.
    public func run() async throws {
        if state.value.withLock({ $0.tenant == nil }) { try await start() }
        await withTaskCancellationOrGracefulShutdownHandler {
            await supervise()
        } onCancelOrGracefulShutdown: {
            self.state.value.withLock { $0.isStopping = true }
            self.eventSource.yield(.stop)
        }
        await stop()
    }

    /// Stops the server, unless it is another gate's. Called once more, it does nothing.
    public func stop() async {
        let tenant = state.value.withLock { state -> RedisHouse.Tenant? in
            state.isStopping = true
            defer { state.tenant = nil }
            return state.tenant
        }
        if let tenant, tenant.tenure != .shared {
            await onOwnThread("redis-stop") { [house] in house.stop(tenant.process) }
            logger.info("redis-server stopped", metadata: ["pid": "\(tenant.process.pid)"])
        }
        // Last: who gets the lock next must not find a server that is about to end.
        state.value.withLock { $0.lock = nil }
    }

    private func obtain() async throws(StartupError) {
        let result = await onOwnThread("redis-start") { [house, state] in
            var lock = state.value.withLock { $0.lock }
            do throws(StartupError) {
                let tenant = try house.obtain(&lock)
                let isWanted = state.value.withLock { [lock] state in
                    state.lock = lock
                    state.began = MonotonicClock.milliseconds()
                    if !state.isStopping { state.tenant = tenant }
                    return !state.isStopping
                }
                guard isWanted else {
                    // Nobody else would stop it.
                    if tenant.tenure != .shared { house.stop(tenant.process) }
                    throw StartupError("The embedded redis-server was stopped while it started: start the gate again.")
                }
                return Result<RedisHouse.Tenant, StartupError>.success(tenant)
            } catch {
                state.value.withLock { [lock] state in state.lock = lock }
                return .failure(error)
            }
        }
        let process = try result.get().process
        process.onEnd { [eventSource] end in eventSource.yield(.ended(pid: process.pid, end)) }
    }

    private func supervise() async {
        for await event in events {
            switch event {
            case .stop:
                return
            case .ended(let pid, let end):
                guard state.value.withLock({ !$0.isStopping && $0.tenant?.process.pid == pid }) else { continue }
                logger.error("redis-server ended: starting it again", metadata: ["pid": "\(pid)", "end": "\(end)"])
                retryLater()
            case .retry:
                guard state.value.withLock({ !$0.isStopping }) else { return }
                do {
                    try await obtain()
                } catch {
                    logger.error("redis-server could not be started again", metadata: ["error": "\(error)"])
                    retryLater()
                }
            }
        }
    }

    /// Tries again after 50 ms, and after twice that each time it fails within a minute, up to 5 s.
    private func retryLater() {
        let failures = state.value.withLock { state -> Int in
            let lived = MonotonicClock.milliseconds() - state.began
            state.failures = state.tenant != nil && lived > 60_000 ? 0 : min(state.failures + 1, 8)
            state.tenant = nil
            return state.failures
        }
        let pause = min(Duration.milliseconds(25) * (1 << failures), .seconds(5))
        Task { [eventSource] in
            try? await Task.sleep(for: pause)
            eventSource.yield(.retry)
        }
    }
}

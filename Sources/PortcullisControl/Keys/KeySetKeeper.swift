import Logging
import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import Synchronization

/// Keeps the key set of one URL fresh.
final class KeySetKeeper: Sendable {
    private struct State {
        var machine: KeyRefreshMachine
        /// What this process has fetched last, for comparison with what comes.
        var bytes: [UInt8]?
        /// The last good set, also where it is of an earlier process.
        var keys = KeySet.empty
    }

    let fetched: FetchedKeySet
    private let fetcher: KeyFetcher
    private let stored: StoredKeySets
    private let logger: Logger
    private let state: Mutex<State>
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(
        _ fetched: FetchedKeySet,
        _ times: KeyRefreshMachine.Times,
        fetcher: KeyFetcher,
        stored: StoredKeySets,
        logger: Logger
    ) {
        self.fetched = fetched
        self.fetcher = fetcher
        self.stored = stored
        self.logger = logger
        state = Mutex(State(machine: KeyRefreshMachine(times, now: Self.now)))
        (wakes, waker) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    private static var now: BootTime { BootTime(nanoseconds: Clock.boot()) }

    var keys: KeySet { state.withLock { $0.keys } }

    /// A token named this key. Called from the loops' threads, as often as clients like: a look-up in memory under a lock.
    func unknownKey(_ kid: Identifier) {
        let isNearer = state.withLock { state in
            // A loop may not have heard yet that the key has come.
            !state.keys.holds(kid) && state.machine.unknownKey(kid, now: Self.now)
        }
        if isNearer { waker.yield() }
    }

    /// The first fetch. Where it fails, the set that was kept in the state directory stays in force.
    func begin(within: Duration) async {
        if let kept = readStored() { state.withLock { $0.keys = kept } }
        var quick = fetcher
        quick.limits.whole = min(quick.limits.whole, within)
        quick.limits.connect = min(quick.limits.connect, within)
        await fetchIfDue(quick)
    }

    /// Fetches on and on, until the task is cancelled.
    /// - Parameter changed: told of every set that differs from the one before.
    func run(_ changed: @escaping @Sendable (KeySet) -> Void) async {
        var timer: Task<Void, Never>?
        defer { timer?.cancel() }
        waker.yield()
        for await _ in wakes {
            await fetchIfDue(fetcher, changed)
            let left = state.withLock { $0.machine.next }.nanoseconds.subtractingClamped(Clock.boot())
            timer?.cancel()
            timer = Task { [waker] in
                try? await Task.sleep(for: .nanoseconds(max(left, 0)))
                // One that was cancelled has a successor.
                if !Task.isCancelled { waker.yield() }
            }
        }
    }

    private func fetchIfDue(_ fetcher: KeyFetcher, _ changed: (KeySet) -> Void = { _ in }) async {
        guard state.withLock({ $0.machine.timePassed(now: Self.now) }) == .fetch else { return }
        do {
            let bytes = try await fetcher.fetch(fetched.url)
            took(bytes, try KeySet.fetchedJWKS(bytes, algorithm: fetched.source.algorithm, source: "It"), changed)
        } catch {
            // The gate stops: nothing is wrong with the issuer.
            if !Task.isCancelled { failed("\(error)") }
        }
    }

    private func took(_ bytes: [UInt8], _ keys: KeySet, _ changed: (KeySet) -> Void) {
        let (news, isNew) = state.withLock { state in
            let news = state.machine.fetched(now: Self.now, jitter: .random(in: 0..<1)) { keys.holds($0) }
            let isNew = state.bytes != bytes
            if isNew { (state.bytes, state.keys) = (bytes, keys) }
            return (news, isNew)
        }
        let metadata: Logger.Metadata = ["url": "\(fetched.url)"]
        if news == .back { logger.notice("the key set can be fetched again", metadata: metadata) }
        guard isNew else { return }
        changed(keys)
        say(keys)
        do throws(StartupError) {
            try stored.write(bytes, of: fetched.url)
        } catch {
            logger.warning("the key set cannot be kept for the next start: \(error)", metadata: metadata)
        }
    }

    private func failed(_ reason: String) {
        let (news, isEmpty) = state.withLock { state in
            (state.machine.failed(now: Self.now, jitter: .random(in: 0..<1)), state.keys.keys.isEmpty)
        }
        guard news == .away else { return }
        let effect =
            isEmpty
            ? "until it can, the tokens of its issuer are refused with unknown_key"
            : "the one that was fetched last stays in force"
        logger.warning(
            "a key set cannot be fetched: \(effect)",
            metadata: ["url": "\(fetched.url)", "reason": "\(reason)"]
        )
    }

    private func say(_ keys: KeySet) {
        var metadata: Logger.Metadata = ["url": "\(fetched.url)", "keys": "\(Self.names(keys))"]
        if !keys.refused.isEmpty {
            metadata["not_used"] = "\(keys.refused.prefix(4).map(\.reason).joined(separator: " "))"
        }
        if keys.keys.isEmpty {
            logger.warning(
                "the key set holds no usable key: the tokens of its issuer are refused with unknown_key",
                metadata: metadata
            )
        } else {
            logger.notice("keys fetched", metadata: metadata)
        }
    }

    private static func names(_ keys: KeySet) -> String {
        let names = keys.keys.prefix(8).map { ($0.kid ?? $0.thumbprint)?.description ?? "?" }
        return names.joined(separator: ", ") + (keys.keys.count > 8 ? " and \(keys.keys.count - 8) more" : "")
    }

    private func readStored() -> KeySet? {
        do {
            guard let bytes = try stored.read(fetched.url) else { return nil }
            let source = "The key set in \(stored.path(fetched.url))"
            return try KeySet.fetchedJWKS(bytes, algorithm: fetched.source.algorithm, source: source)
        } catch {
            logger.warning("a key set that was kept is not used: \(error)", metadata: ["url": "\(fetched.url)"])
            return nil
        }
    }
}

import Glibc
public import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization

/// The listener of the admin API: health and readiness, and what else is added to its router.
public final class AdminListener: Service, Sendable {
    /// Programs that ask for metrics and states are few; the data plane's descriptors are not theirs.
    private static let mostConnections = 1024

    private enum Binding {
        case waiting([CheckedContinuation<ListenAddress?, Never>])
        case done(ListenAddress?)
    }

    private let address: ListenAddress
    private let logger: Logger
    private let responder: RouterResponder<BasicRequestContext>
    private let binding = Mutex(Binding.waiting([]))

    /// - Parameters:
    ///   - address: Where to listen. A unix socket is open to the user of the process alone.
    ///   - logger: Where to say what happens.
    ///   - routes: Adds the other routes; their errors become problems too (RFC 9457).
    ///   - readiness: The report for `/readyz`. It is called on every request and must not wait.
    public init(
        address: ListenAddress,
        logger: Logger,
        routes: (Router<BasicRequestContext>) -> Void = { _ in },
        readiness: @escaping @Sendable () -> ReadinessReport
    ) {
        self.address = address
        self.logger = logger
        let router = Router(options: .autoGenerateHeadEndpoints)
        router.add(middleware: ProblemMiddleware())
        router.get("healthz") { _, _ in Response.json("{\"status\":\"ok\"}", .ok) }
        router.get("readyz") { _, _ in
            let report = readiness()
            return Response.json(report.json, report.isReady ? .ok : .serviceUnavailable)
        }
        routes(router)
        self.responder = router.buildResponder()
    }

    /// The address it listens on, with the port that the system chose; waits for it. nil where it could not listen.
    public func bound() async -> ListenAddress? {
        await withCheckedContinuation { continuation in
            let known = binding.withLock { state -> ListenAddress?? in
                switch state {
                case .waiting(let waiting):
                    state = .waiting(waiting + [continuation])
                    return nil
                case .done(let address):
                    return .some(address)
                }
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// Serves until the graceful shutdown.
    ///
    /// - Throws: ``StartupError`` where the address is in use.
    public func run() async throws {
        defer { settle(nil) }
        do {
            try await application.run()
        } catch {
            if isBound { throw error }
            // What the library says is no sentence for a person; trying once more finds it.
            try address.probe(for: "admin")
            throw error
        }
        if case .unix(let path) = address { unlink(path) }
    }

    private var application: some ApplicationProtocol {
        let bindAddress: BindAddress =
            switch address {
            case .tcp(let host, let port): .hostname(host, port: Int(port))
            case .unix(let path): .unixDomainSocket(path: path)
            }
        var quiet = logger
        // It tells where it listens in words of its own; that is told below.
        quiet.logLevel = max(logger.logLevel, .notice)
        return Application(
            responder: responder,
            server: .http1(configuration: .init(idleTimeout: .seconds(60))),
            configuration: ApplicationConfiguration(
                address: bindAddress,
                availableConnectionsDelegate: MaximumAvailableConnections(Self.mostConnections)
            ),
            onServerRunning: { channel in self.serverIsRunning(channel) },
            logger: quiet
        )
    }

    private func serverIsRunning(_ channel: any Channel) {
        let address: ListenAddress
        switch self.address {
        case .unix(let path):
            chmod(path, 0o600)
            address = self.address
        case .tcp(let host, let port):
            let bound = channel.localAddress?.port.flatMap { UInt16(exactly: $0) }
            address = .tcp(host: host, port: bound ?? port)
        }
        logger.info("admin API is listening", metadata: ["address": "\(address)"])
        settle(address)
    }

    private var isBound: Bool {
        binding.withLock { state in
            guard case .done = state else { return false }
            return true
        }
    }

    private func settle(_ address: ListenAddress?) {
        let waiting = binding.withLock { state -> [CheckedContinuation<ListenAddress?, Never>] in
            guard case .waiting(let waiting) = state else { return [] }
            state = .done(address)
            return waiting
        }
        for continuation in waiting { continuation.resume(returning: address) }
    }
}

import CLinux
import Glibc
import PortcullisGate
import PortcullisReactor
import Synchronization

/// systemd, or whoever has set `NOTIFY_SOCKET` and wants to hear how the gate is (sd_notify(3), "Standalone Implementations").
final class ServiceManager: Sendable {
    private struct State {
        var isReady = false
        var isStopping = false
        var status = ""
    }

    private let descriptor: Int32
    /// A path, or `@` and an abstract name.
    private let address: String
    /// Within that time it wants a sign of life; nil: it does not.
    private let watchdog: Duration?
    private let state = Mutex(State())

    /// nil where nobody wants to hear anything.
    init?(environment: [String: String]) {
        guard let address = environment["NOTIFY_SOCKET"], address.utf8.count >= 2, ["/", "@"].contains(address.first),
            address.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        else { return nil }
        // It never waits: who says something is a loop.
        let kind = SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        descriptor = socket(AF_UNIX, Int32(kind), 0)
        guard descriptor >= 0 else { return nil }
        self.address = address
        watchdog = Self.watchdog(environment)
    }

    deinit {
        close(descriptor)
    }

    private static func watchdog(_ environment: [String: String]) -> Duration? {
        guard let span = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), span > 0 else { return nil }
        // It may be meant for another process, which has handed its environment on.
        if let pid = environment["WATCHDOG_PID"], pid != String(getpid()) { return nil }
        return .microseconds(span)
    }

    // MARK: - What is said

    /// Tells, until the task is cancelled, when the gate first vouches for its view, what it does, and that its loops turn.
    func follow(_ gate: Gate) async {
        var nextSign = ContinuousClock.now
        while !Task.isCancelled {
            tell(gate.status)
            if let watchdog, ContinuousClock.now >= nextSign {
                nextSign = .now + watchdog / 2
                signOfLife(gate)
            }
            let isReady = state.withLock { $0.isReady }
            try? await Task.sleep(
                for: isReady ? min(watchdog.map { $0 / 4 } ?? .seconds(1), .seconds(1)) : .milliseconds(50)
            )
        }
    }

    private func tell(_ gate: GateStatus) {
        state.withLock { state in
            guard !state.isStopping else { return }
            var lines: [String] = []
            if gate.isReady, !state.isReady { lines.append("READY=1") }
            let status = "STATUS=" + Self.words(gate)
            if status != state.status { lines.append(status) }
            // What could not be said is said again.
            guard !lines.isEmpty, say(lines) else { return }
            state.isReady = state.isReady || gate.isReady
            state.status = status
        }
    }

    private static func words(_ gate: GateStatus) -> String {
        let connections = "\(gate.connections) connection\(gate.connections == 1 ? "" : "s")"
        if gate.isReady { return "Admitting; \(connections)" }
        return gate.isFrozen
            ? "Frozen, for Redis cannot be followed; \(connections)" : "Admitting nobody; \(connections)"
    }

    /// Where one of the loops hangs, nothing is said, and the gate is restarted.
    private func signOfLife(_ gate: Gate) {
        // The loops end one by one then; how long that may take is another limit of the manager's.
        if state.withLock({ $0.isStopping }) {
            say(["WATCHDOG=1"])
        } else {
            gate.pulse { [weak self] in self?.say(["WATCHDOG=1"]) }
        }
    }

    /// The settings are read anew while `body` runs. Before the gate was ready that is no news.
    func whileReloading(_ body: () -> Void) {
        let isReady = state.withLock { $0.isReady && !$0.isStopping }
        if isReady { say(["RELOADING=1", "MONOTONIC_USEC=\(Clock.monotonic() / 1000)"]) }
        body()
        if isReady { say(["READY=1"]) }
    }

    func stopping() {
        state.withLock { $0.isStopping = true }
        say(["STOPPING=1", "STATUS=Draining"])
    }

    // MARK: - The socket

    /// - Returns: false where it could not be said now.
    @discardableResult
    private func say(_ lines: [String]) -> Bool {
        let message = Array(lines.joined(separator: "\n").utf8)
        var socket = sockaddr_un()
        socket.sun_family = sa_family_t(AF_UNIX)
        var name = Array(address.utf8)
        // An abstract name begins with a zero and has none at its end; a path has one, which is there already.
        let isAbstract = address.first == "@"
        if isAbstract { name[0] = 0 }
        withUnsafeMutableBytes(of: &socket.sun_path) { $0.copyBytes(from: name) }
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(start + name.count + (isAbstract ? 0 : 1))
        // Safe: the address is one, whole, and lives while the call lasts.
        let sent = withUnsafePointer(to: &socket) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        return sent == message.count
    }
}

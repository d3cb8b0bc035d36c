import Glibc
import PortcullisReactor
import Synchronization

/// The thread of a ``FaultProxy``, and what it shares with the tests.
final class ProxyWork: Sendable {
    struct State {
        var faults: [(scope: FaultScope, fault: Fault)] = []
        var counts = FaultCounts()
        var cuts: [FaultScope.Link?] = []
        var isRefusing = false
        var isStopping = false

        func fault(_ link: FaultScope.Link, _ direction: FaultScope.Direction) -> Fault {
            faults.last { $0.scope.includes(link, direction) }?.fault ?? .pass
        }
    }

    let state = Mutex(State())
    private let socket: String
    private let target: String
    private let listener: Int32
    /// How long a change of what is done to links may wait for the thread, in milliseconds.
    private static let turn: Int32 = 5

    init(at socket: String, to target: String) throws {
        self.socket = socket
        self.target = target
        listener = try Self.open()
        guard Self.call(bind, listener, socket) == 0, listen(listener, 128) == 0 else {
            throw SocketError("listen on \(socket)", errno: errno)
        }
    }

    deinit {
        close(listener)
        unlink(socket)
    }

    /// Runs until it is told to stop.
    func run() {
        var links: [ProxyLink] = []
        defer { for link in links { link.close() } }
        while !state.withLock({ $0.isStopping }) {
            var watched = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            for link in links {
                watched.append(
                    Self.watch(link.gate, reads: !link.toRedis.hasEnded, writes: !link.toGate.output.isEmpty)
                )
                watched.append(
                    Self.watch(link.redis, reads: !link.toGate.hasEnded, writes: !link.toRedis.output.isEmpty)
                )
            }
            poll(&watched, nfds_t(watched.count), Self.turn)
            for index in links.indices {
                if watched[1 + 2 * index].revents != 0 { read(&links[index], .toRedis) }
                if watched[2 + 2 * index].revents != 0 { read(&links[index], .toGate) }
            }
            let cuts = state.withLock { state in
                defer { state.cuts = [] }
                return state.cuts
            }
            links = links.compactMap { settled($0, cuts) }
            if watched[0].revents != 0 { accept(&links) }
        }
    }

    private static func watch(_ descriptor: Int32, reads: Bool, writes: Bool) -> pollfd {
        let events = (reads ? POLLIN : 0) | (writes ? POLLOUT : 0)
        // A negative descriptor is passed over: one that has ended would wake the thread without end.
        return pollfd(fd: events == 0 ? -1 : descriptor, events: Int16(events), revents: 0)
    }

    private func read(_ link: inout ProxyLink, _ direction: FaultScope.Direction) {
        guard !link[direction].hasEnded else { return }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(
            direction == .toRedis ? link.gate : link.redis,
            &buffer,
            buffer.count,
            Int32(MSG_DONTWAIT)
        )
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            link[direction].hasEnded = true
            return
        }
        state.withLock { state in
            var counts = state.counts
            link.received(buffer[..<count], direction, state.fault, &counts)
            state.counts = counts
        }
    }

    /// A link after a turn; nil where it is closed.
    private func settled(_ link: ProxyLink, _ cuts: [FaultScope.Link?]) -> ProxyLink? {
        var link = link
        let isCut = cuts.contains { $0 == nil || $0 == link.kind }
        state.withLock { state in
            for direction in FaultScope.Direction.allCases {
                link.release(direction, state.fault(link.kind, direction), &state.counts)
            }
            if isCut { state.counts.cut += 1 }
        }
        for direction in FaultScope.Direction.allCases { link.flush(direction) }
        guard isCut || link.isOver else { return link }
        link.close()
        return nil
    }

    private func accept(_ links: inout [ProxyLink]) {
        let gate = Glibc.accept(listener, nil, nil)
        guard gate >= 0 else { return }
        guard !state.withLock({ $0.isRefusing }), let redis = try? Self.open() else {
            // Counted before whoever asked can know of it.
            state.withLock { $0.counts.cut += 1 }
            close(gate)
            return
        }
        // A Redis that stands still takes connections as long as its backlog has room.
        guard Self.call(connect, redis, target) == 0 else {
            close(redis)
            close(gate)
            return
        }
        _ = fcntl(gate, F_SETFD, FD_CLOEXEC)
        links.append(ProxyLink(gate: gate, redis: redis))
        state.withLock { $0.counts.links += 1 }
    }

    // MARK: - Sockets

    private static func open() throws -> Int32 {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        return descriptor
    }

    /// `bind` or `connect` with the address of a path.
    private static func call(
        _ body: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32,
        _ descriptor: Int32,
        _ path: String
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // Paths in the temporary folder are short; a longer one is cut off and found by nobody.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

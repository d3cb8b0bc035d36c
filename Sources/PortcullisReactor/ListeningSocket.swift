import CLinux
import Glibc
import Synchronization

/// A socket that accepts connections. Closed when it is let go.
public final class ListeningSocket: Sendable {
    let descriptor: Int32
    private let isOpen = Atomic(true)
    public let endpoint: Endpoint
    /// The file of a unix socket that is removed at the end.
    private let path: String?

    /// Binds and listens.
    ///
    /// - Parameters:
    ///   - reusePort: whether several sockets share the port (SO_REUSEPORT), one a loop.
    ///   - backlog: how many connections may wait to be accepted.
    public init(_ endpoint: Endpoint, reusePort: Bool = false, backlog: Int32 = 4096) throws(SocketError) {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(endpoint.family, Int32(kind), 0)
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        do throws(SocketError) {
            if case .unix(let path) = endpoint {
                try Self.removeStale(path, endpoint)
                self.path = path
            } else {
                path = nil
                Self.set(descriptor, SOL_SOCKET, SO_REUSEADDR)
                if reusePort { Self.set(descriptor, SOL_SOCKET, SO_REUSEPORT) }
                // Accepted sockets inherit it: one system call less for each.
                Self.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
                if endpoint.family == AF_INET6 { Self.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
            }
            let bound = endpoint.withSockaddr { bind(descriptor, $0, $1) }
            guard bound.result == 0 else { throw SocketError("bind \(endpoint)", errno: bound.errno) }
            guard listen(descriptor, backlog) == 0 else { throw SocketError("listen on \(endpoint)", errno: errno) }
            self.endpoint = try Self.actual(descriptor, endpoint)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit {
        close()
    }

    /// Stops listening; what still waits to be accepted is refused.
    public func close() {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        Glibc.close(descriptor)
        if let path { unlink(path) }
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32) {
        var on: Int32 = 1
        setsockopt(descriptor, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Removes the file of a unix socket on which nobody listens any more.
    private static func removeStale(_ path: String, _ endpoint: Endpoint) throws(SocketError) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        // Not blocking: where somebody listens whose backlog is full, connect(2) would wait for them.
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let probe = socket(AF_UNIX, Int32(kind), 0)
        guard probe >= 0 else { throw SocketError("open a socket", errno: errno) }
        defer { Glibc.close(probe) }
        let answer = endpoint.withSockaddr { connect(probe, $0, $1) }
        guard answer.result != 0 else { throw SocketError("bind \(endpoint)", errno: EADDRINUSE) }
        if answer.errno == ECONNREFUSED { unlink(path) }
    }

    /// The endpoint with the port that the kernel chose where port 0 was asked for.
    private static func actual(_ descriptor: Int32, _ endpoint: Endpoint) throws(SocketError) -> Endpoint {
        guard case .tcp(let address, 0) = endpoint else { return endpoint }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // The storage is large enough for every kind of address.
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0, let peer = PeerAddress(storage) else {
            throw SocketError("read the port of \(endpoint)", errno: errno)
        }
        return .tcp(address: address, port: peer.port)
    }
}

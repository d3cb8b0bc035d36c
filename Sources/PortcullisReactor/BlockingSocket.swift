import CLinux
import Glibc

/// A plain blocking socket with deadlines, for the command line: no loop thread may use it. Closed when it is let go.
public final class BlockingSocket: Sendable {
    private let descriptor: Int32
    private let timeout: Int

    /// Connects within a time.
    /// - Parameter timeout: milliseconds, for connecting and for every read and write.
    public init(_ endpoint: Endpoint, timeout: Int) throws(SocketError) {
        let descriptor = socket(endpoint.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        self.descriptor = descriptor
        self.timeout = timeout
        var limit = timeval(tv_sec: timeout / 1000, tv_usec: (timeout % 1000) * 1000)
        // A send timeout also bounds connect(2) on Linux.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let attempt = endpoint.withSockaddr { connect(descriptor, $0, $1) }
        guard attempt.result == 0 else {
            throw SocketError("connect to \(endpoint)", errno: attempt.errno == EINPROGRESS ? ETIMEDOUT : attempt.errno)
        }
    }

    deinit {
        close(descriptor)
    }

    public func write(_ bytes: [UInt8]) throws(SocketError) {
        var written = 0
        while written < bytes.count {
            // The pointer is used within the call only.
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SocketError("write", errno: errno == EAGAIN ? ETIMEDOUT : errno) }
            written += count
        }
    }

    /// Reads what is there, or waits for it; empty where the peer has ended.
    /// - Parameter extra: milliseconds to wait beyond the socket's own timeout.
    public func read(extra: Int = 0) throws(SocketError) -> [UInt8] {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&watched, 1, Int32(clamping: timeout + extra))
        if ready < 0, errno == EINTR { return try read(extra: extra) }
        guard ready > 0 else { throw SocketError("read", errno: ready == 0 ? ETIMEDOUT : errno) }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw SocketError("read", errno: errno) }
        buffer.removeSubrange(count...)
        return buffer
    }
}

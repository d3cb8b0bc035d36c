import CLinux
import Glibc
import Synchronization

/// A blocking socket with deadlines, plain or secured, for the command line: no loop thread may use it. Closed when it is let go.
public final class BlockingSocket: Sendable {
    private let descriptor: Int32
    private let timeout: Int
    private let isSecured: Bool
    // Unsafe: touched under the lock only. Its steps never wait, so that the lock is held for a moment.
    nonisolated(unsafe) private let tls: TLSSession?
    private let lock = Mutex(())

    /// Connects within a time.
    /// - Parameters:
    ///   - timeout: milliseconds, for connecting and for every read and write.
    ///   - client: how it is secured; nil: not at all.
    ///   - preamble: written first of all, and never secured.
    public init(
        _ endpoint: Endpoint,
        timeout: Int,
        securedBy client: TLSClient? = nil,
        preamble: [UInt8] = []
    ) throws(SocketError) {
        let descriptor = socket(endpoint.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        self.descriptor = descriptor
        self.timeout = timeout
        isSecured = client != nil
        tls = client.flatMap { TLSSession($0.context, name: $0.name, descriptor: descriptor) }
        var limit = timeval(tv_sec: timeout / 1000, tv_usec: (timeout % 1000) * 1000)
        // A send timeout also bounds connect(2) on Linux.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let attempt = endpoint.withSockaddr { connect(descriptor, $0, $1) }
        guard attempt.result == 0 else {
            throw SocketError("connect to \(endpoint)", errno: attempt.errno == EINPROGRESS ? ETIMEDOUT : attempt.errno)
        }
        try writePlain(preamble)
        if isSecured {
            let late = client.map { TLSFailure(.silent, peer: $0.name) }
            _ = try complete("secure the connection to \(endpoint)", timeout, late: late) { $0.handshake() }
        }
    }

    deinit {
        close(descriptor)
    }

    /// When it is let go the connection is reset, not ended: what waits is thrown away.
    package func resetAtClose() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }

    /// Ends writing, and goes on reading. TLS is not told.
    package func endWriting() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    public func write(_ bytes: [UInt8]) throws(SocketError) {
        guard isSecured else { return try writePlain(bytes) }
        var written = 0
        while written < bytes.count {
            let start = written
            // The pointer is used within the call only.
            written += try complete("write", timeout) { tls in
                bytes.withUnsafeBytes { tls.write(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            }
        }
    }

    private func writePlain(_ bytes: [UInt8]) throws(SocketError) {
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
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        guard !isSecured else {
            let count = try complete("read", timeout + extra) { tls in
                buffer.withUnsafeMutableBytes { tls.read(into: $0) }
            }
            buffer.removeSubrange(count...)
            return buffer
        }
        guard try wait(for: POLLIN, timeout + extra) else { throw SocketError("read", errno: ETIMEDOUT) }
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw SocketError("read", errno: errno) }
        buffer.removeSubrange(count...)
        return buffer
    }

    /// Waits until the socket can be read or written; false where the time has passed.
    private func wait(for event: Int32, _ milliseconds: Int) throws(SocketError) -> Bool {
        let end = Clock.boot() + Int64(clamping: milliseconds) * 1_000_000
        while true {
            var watched = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let left = max(0, (end - Clock.boot() + 999_999) / 1_000_000)
            let ready = poll(&watched, 1, Int32(clamping: left))
            if ready < 0, errno == EINTR { continue }
            guard ready >= 0 else { throw SocketError("wait", errno: errno) }
            return ready > 0
        }
    }

    /// Tries a step of the TLS session until it is done.
    /// - Returns: how many bytes it was about; 0 where the peer has ended.
    private func complete(
        _ doing: String,
        _ milliseconds: Int,
        late: TLSFailure? = nil,
        _ attempt: (TLSSession) -> TLSSession.Step
    ) throws(SocketError) -> Int {
        let end = Clock.boot() + Int64(clamping: milliseconds) * 1_000_000
        while true {
            let event: Int32
            switch lock.withLock({ _ in tls.map(attempt) }) {
            case .done(let count): return count
            case .ended: return 0
            case .awaitsReading: event = POLLIN
            case .awaitsWriting: event = POLLOUT
            case .broken(let number): throw SocketError(doing, errno: number)
            case .failed(let failure): throw SocketError(doing, errno: EPROTO, security: failure)
            case nil: throw SocketError(doing, errno: EINVAL)
            }
            let left = Int(max(0, (end - Clock.boot()) / 1_000_000))
            guard try wait(for: event, left) else { throw SocketError(doing, errno: ETIMEDOUT, security: late) }
        }
    }
}

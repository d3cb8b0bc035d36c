import CLinux
import Glibc

/// A connected unix socket that waits no longer than a deadline.
///
/// Every call may block its thread.
final class UnixSocket {
    private let descriptor: Int32

    /// Why there is no connection.
    struct Refusal: Error, Equatable {
        /// An error number of the system.
        let number: Int32
    }

    init(connectingTo path: String) throws(Refusal) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw Refusal(number: errno) }
        let connected = UnixSocket.withAddress(path) { address, length in connect(descriptor, address, length) }
        guard connected == 0 else {
            let number = connected == nil ? ENAMETOOLONG : errno
            close(descriptor)
            throw Refusal(number: number)
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// The process that listens at the other end.
    var peer: pid_t? {
        let pid = portcullis_peer_pid(descriptor)
        return pid > 0 ? pid : nil
    }

    /// Sends a text; false where not all of it could be sent at once.
    func send(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        }
    }

    /// The next line, without its end; nil where none, or one of more than 512 bytes, came in time.
    func line(within milliseconds: Int64) -> String? {
        let deadline = MonotonicClock.milliseconds() + milliseconds
        var line: [UInt8] = []
        while line.count <= 512 {
            let left = deadline - MonotonicClock.milliseconds()
            guard left > 0 else { return nil }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, Int32(clamping: left)) > 0 else { continue }
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, 0)
            if count == 1 {
                if byte == 0x0A {
                    return String(decoding: line.last == 0x0D ? line.dropLast() : line[...], as: UTF8.self)
                }
                line.append(byte)
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                return nil
            }
        }
        return nil
    }

    /// Calls `body` with the socket address of a path; nil where the path is too long for one.
    static func withAddress<Result>(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= ListenAddress.longestSocketPath, !bytes.contains(0) else { return nil }
        // Safe: the count was just compared with the room, whose last byte stays zero.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// Time for deadlines within the control plane.
enum MonotonicClock {
    private static let origin = ContinuousClock.now

    /// Since some moment of this process.
    static func milliseconds() -> Int64 {
        (ContinuousClock.now - origin).wholeMilliseconds
    }
}

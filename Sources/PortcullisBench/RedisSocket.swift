import CLinux
import Glibc

/// A blocking socket to Redis, for what is timed: a command is one write, an answer one read.
final class RedisSocket {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 4096)

    init(_ path: String) throws {
        descriptor = try Self.connect(path)
    }

    deinit {
        close(descriptor)
    }

    /// A socket on which nothing but the messages of a channel come.
    static func subscribed(_ path: String, to channel: String) throws -> Int32 {
        let descriptor = try connect(path)
        let command = encode(["SUBSCRIBE", channel])
        try command.withUnsafeBytes { try Sockets.send(descriptor, $0) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        guard recv(descriptor, &buffer, buffer.count, 0) > 0 else { throw BenchFailure("subscribe", errno: errno) }
        return descriptor
    }

    /// Writes a command that stands encoded; the moment of this write is where a latency begins.
    func write(_ command: [UInt8]) throws {
        // The pointer is used within the call only.
        try command.withUnsafeBytes { try Sockets.send(descriptor, $0) }
    }

    /// Reads the answer of a command, which is short.
    func skipAnswer() throws {
        guard recv(descriptor, &buffer, buffer.count, 0) > 0 else {
            throw BenchFailure("read from Redis", errno: errno)
        }
        guard buffer[0] != UInt8(ascii: "-") else { throw BenchFailure("Redis has refused a command.") }
    }

    static func encode(_ words: [String]) -> [UInt8] {
        words.reduce(into: Array("*\(words.count)\r\n".utf8)) { bytes, word in
            bytes += Array("$\(word.utf8.count)\r\n\(word)\r\n".utf8)
        }
    }

    private static func connect(_ path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchFailure("open a socket", errno: errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard path.utf8.count < room.count else { return false }
            room.copyBytes(from: path.utf8)
            return true
        }
        let result = withUnsafePointer(to: address) {
            // Both are addresses of the size that is given.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard fits, result == 0 else {
            let number = errno
            close(descriptor)
            throw BenchFailure("connect to \(path)", errno: number)
        }
        return descriptor
    }
}

import CLinux
import Glibc

/// A connection that pings again as soon as it has its pong: how long others wait while the server is busy.
final class Echo {
    let descriptor: Int32
    /// The longest wait for a pong, in ns.
    private(set) var longest: UInt64 = 0
    private var sentAt: UInt64 = 0

    private static let ping: [UInt8] = [0x89, 0x80, 1, 2, 3, 4]

    /// Opens a connection.
    init(_ passports: Passports, to port: UInt16) throws {
        descriptor = try Sockets.connect(to: port)
        try passports.withRequest(0) { try Sockets.send(descriptor, $0) }
        guard try receive().starts(with: Array("HTTP/1.1 101 ".utf8)) else {
            throw BenchFailure("A handshake was refused.")
        }
    }

    deinit {
        close(descriptor)
    }

    func sendPing() throws {
        sentAt = Machine.now()
        // The pointer is used within the call only.
        try Self.ping.withUnsafeBytes { try Sockets.send(descriptor, $0) }
    }

    func takePong() throws {
        guard try receive().first == 0x8A else { throw BenchFailure("The spared connection was told something else.") }
        longest = max(longest, Machine.now() - sentAt)
        try sendPing()
    }

    private func receive() throws -> ArraySlice<UInt8> {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { throw BenchFailure("The spared connection was closed.") }
        return buffer.prefix(count)
    }
}

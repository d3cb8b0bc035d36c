import CLinux
import Glibc

/// One client by itself, which waits for what it reads.
final class FrameSocket {
    let descriptor: Int32
    private var bytes: [UInt8] = []

    /// Opens a connection.
    init(_ passports: Passports, _ index: Int, to port: UInt16) throws {
        descriptor = try Sockets.connect(to: port)
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        try passports.withRequest(index) { try Sockets.send(descriptor, $0) }
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let place = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) {
                guard bytes.starts(with: Array("HTTP/1.1 101 ".utf8)) else {
                    throw BenchFailure("A handshake was refused.")
                }
                bytes.removeFirst(place + end.count)
                return
            }
            try receive()
        }
    }

    deinit {
        close(descriptor)
    }

    func send(_ bytes: [UInt8]) throws {
        // The pointer is used within the call only.
        try bytes.withUnsafeBytes { try Sockets.send(descriptor, $0) }
    }

    /// The next frame of a server with its header, of at most 65,535 bytes.
    func nextFrame() throws -> [UInt8] {
        while true {
            if bytes.count >= 4 {
                let short = Int(bytes[1] & 0x7F)
                let count = short < 126 ? 2 + short : 4 + Int(bytes[2]) << 8 + Int(bytes[3])
                if bytes.count >= count {
                    defer { bytes.removeFirst(count) }
                    return Array(bytes.prefix(count))
                }
            }
            try receive()
        }
    }

    private func receive() throws {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { throw BenchFailure("read from a server", errno: count == 0 ? EPIPE : errno) }
        bytes += buffer.prefix(count)
    }
}

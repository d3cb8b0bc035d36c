public import PortcullisReactor

/// Clients that write bytes of any kind and read what comes, many at a time.
public enum RawExchange {
    /// What has come on a connection, to its end.
    public enum Answer: Equatable, Sendable {
        case bytes([UInt8])
        /// The connection was broken, or nothing ended it in time.
        case failed(String)
    }

    /// Opens a connection for each of the requests, writes it whole, and reads to the end of the stream.
    /// - Parameters:
    ///   - parallel: how many are open at a time.
    ///   - patience: milliseconds for every read.
    public static func run(
        _ endpoint: Endpoint,
        _ requests: [[UInt8]],
        parallel: Int = 256,
        patience: Int = 10_000
    ) throws(SocketError) -> [Answer] {
        var answers: [Answer] = []
        for start in stride(from: 0, to: requests.count, by: parallel) {
            var sockets: [BlockingSocket] = []
            for request in requests[start..<min(start + parallel, requests.count)] {
                let socket = try BlockingSocket(endpoint, timeout: patience)
                try socket.write(request)
                sockets.append(socket)
            }
            // The gate works on all of them meanwhile: what one waits for, the others have waited for too.
            answers += sockets.map(readToEnd)
        }
        return answers
    }

    private static func readToEnd(_ socket: BlockingSocket) -> Answer {
        var bytes: [UInt8] = []
        do throws(SocketError) {
            while true {
                let more = try socket.read()
                if more.isEmpty { return .bytes(bytes) }
                bytes += more
            }
        } catch {
            return .failed("\(error) after \(bytes.count) bytes: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
    }
}

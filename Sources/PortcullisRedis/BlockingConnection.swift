import Glibc
import PortcullisReactor

/// A connection to Redis for commands that people and scripts run: it asks and waits. Loops never use it.
public final class BlockingConnection {
    /// Why Redis could not be asked, in a sentence.
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        /// Whether Redis was there and refused: trying again changes nothing.
        public let isRefusal: Bool

        public init(description: String, isRefusal: Bool = false) {
            self.description = description
            self.isRefusal = isRefusal
        }
    }

    private let socket: BlockingSocket
    private let reader: RESPReader

    /// Connects, authenticates and selects the database.
    /// - Parameter timeout: for connecting and for every answer, in milliseconds.
    public init(_ url: RedisURL, timeout: Int = 5000) throws(Failure) {
        guard let reader = RESPReader() else { throw Failure(description: "Memory has run out.") }
        self.reader = reader
        socket = try Self.connect(url, timeout)
        do throws(Failure) {
            for command in url.greeting {
                if let error = try ask(command).errorText {
                    throw Failure(description: LinkMachine.sentence(error), isRefusal: !error.hasPrefix("LOADING"))
                }
            }
        } catch {
            throw Failure(
                description: "Redis at \(url) can't be used: \(error.description)",
                isRefusal: error.isRefusal
            )
        }
    }

    private static func connect(_ url: RedisURL, _ timeout: Int) throws(Failure) -> BlockingSocket {
        var reason = "it has no address"
        do throws(SocketError) {
            for endpoint in try url.resolve() {
                do throws(SocketError) {
                    return try BlockingSocket(endpoint, timeout: timeout)
                } catch {
                    reason = SocketError.text(error.errno)
                }
            }
        } catch {
            reason = error.doing
        }
        throw Failure(description: "Redis at \(url) can't be reached: \(reason).")
    }

    /// Sends a command and waits for its answer.
    /// - Parameter extra: milliseconds that a blocking command may take by itself.
    public func ask(_ command: Command, extra: Int = 0) throws(Failure) -> RESPValue {
        var output: [UInt8] = []
        command.encode(into: &output)
        try send(output)
        return try receive(extra)
    }

    /// Sends several commands in one write and waits for all answers.
    public func ask(_ commands: [Command]) throws(Failure) -> [RESPValue] {
        var output: [UInt8] = []
        for command in commands { command.encode(into: &output) }
        try send(output)
        var replies: [RESPValue] = []
        for _ in commands { replies.append(try receive(0)) }
        return replies
    }

    private func send(_ output: [UInt8]) throws(Failure) {
        do throws(SocketError) {
            try socket.write(output)
        } catch {
            throw Failure(description: "Redis can't be asked: \(SocketError.text(error.errno)).")
        }
    }

    /// Waits for the next value: an answer, or a message where the connection is subscribed.
    public func receive(_ extra: Int) throws(Failure) -> RESPValue {
        do {
            while true {
                if let value = try reader.next() { return value }
                let bytes = try socket.read(extra: extra)
                if bytes.isEmpty { throw Failure(description: "Redis has closed the connection.") }
                try reader.feed(bytes.span)
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as SocketError {
            let late = error.errno == EAGAIN || error.errno == ETIMEDOUT
            throw Failure(
                description: late ? "Redis did not answer in time." : "Redis: \(SocketError.text(error.errno))."
            )
        } catch {
            throw Failure(description: "\(error)")
        }
    }
}

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

    private let line: BlockingLine

    /// Connects, authenticates and selects the database; where sentinels are named, at the primary that they name.
    /// - Parameter timeout: for connecting and for every answer, in milliseconds.
    public init(_ url: RedisURL, timeout: Int = 5000) throws(Failure) {
        if case .sentinels(let sentinels, let name) = url.place {
            line = try Self.primary(url, sentinels, name, timeout)
        } else {
            line = try BlockingLine(url, timeout: timeout)
            try line.greet(url.greeting, of: url)
        }
    }

    /// Sends a command and waits for its answer.
    /// - Parameter extra: milliseconds that a blocking command may take by itself.
    public func ask(_ command: Command, extra: Int = 0) throws(Failure) -> RESPValue {
        try line.ask([command], extra: extra)[0]
    }

    /// Sends several commands in one write and waits for all answers.
    /// - Parameter extra: milliseconds that blocking commands among them may take by themselves.
    public func ask(_ commands: [Command], extra: Int = 0) throws(Failure) -> [RESPValue] {
        try line.ask(commands, extra: extra)
    }

    /// Waits for the next value: an answer, or a message where the connection is subscribed.
    public func receive(_ extra: Int) throws(Failure) -> RESPValue {
        try line.receive(extra)
    }

    // MARK: - Sentinels

    /// A sentinel that is gone is not waited for as long as Redis is: there are others.
    private static let sentinelPatience = 2000

    /// Asks the sentinels in turn, until one of them leads to a Redis that says of itself that it is the primary.
    private static func primary(
        _ url: RedisURL,
        _ sentinels: [RedisAddress],
        _ name: String,
        _ timeout: Int
    ) throws(Failure) -> BlockingLine {
        var last = Failure(description: "none is named.")
        for sentinel in sentinels {
            do throws(Failure) {
                let address = try ask(sentinel, url, name, min(timeout, sentinelPatience))
                let line = try BlockingLine(url.at(address), timeout: timeout)
                try line.greet(url.greeting, of: url.at(address))
                return line
            } catch {
                last = error
            }
        }
        throw Failure(
            description: "No sentinel of \(url) leads to the primary: \(last.description)",
            isRefusal: last.isRefusal
        )
    }

    private static func ask(
        _ sentinel: RedisAddress,
        _ url: RedisURL,
        _ name: String,
        _ timeout: Int
    ) throws(Failure) -> RedisAddress {
        let line = try BlockingLine(url.at(sentinel), timeout: timeout)
        var reply = try line.ask([SentinelAnswer.question(name)], extra: 0)[0]
        // Sentinels that ask for a password are given that of Redis: there is no other.
        if reply.errorText?.hasPrefix("NOAUTH") == true, let login = url.login.first {
            if let error = try line.ask([login], extra: 0)[0].errorText {
                throw Failure(
                    description: "The sentinel at \(sentinel): \(LinkMachine.sentence(error))",
                    isRefusal: true
                )
            }
            reply = try line.ask([SentinelAnswer.question(name)], extra: 0)[0]
        }
        switch SentinelAnswer(reply) {
        case .primary(let address): return address
        case .unknown:
            throw Failure(
                description: "The sentinel at \(sentinel) knows no primary named \(name): correct redis.url.",
                isRefusal: true
            )
        case .refused(let why): throw Failure(description: "The sentinel at \(sentinel): \(why)", isRefusal: true)
        }
    }
}

import PortcullisCore

/// The life of one link to Redis, apart from its socket: greet, be ready, be lost, wait with full jitter, try again, for ever.
///
/// Times are nanoseconds on CLOCK_BOOTTIME; randomness is passed in.
public struct LinkMachine: Equatable, Sendable {
    public enum State: Equatable, Sendable {
        /// Nothing is tried before this time. Exits: connecting.
        case waiting(until: Int64)
        /// Exits: greeting, waiting.
        case connecting(until: Int64)
        /// So many answers are still owed. Exits: ready, waiting.
        case greeting(owed: Int, until: Int64)
        /// Exits: waiting.
        case ready
    }

    public enum Action: Equatable, Sendable {
        case nothing
        case connect
        /// Sends the greeting.
        case greet
        /// The link stands: it may be used.
        case becomeReady
        /// The socket, if there is one, is of no more use.
        case drop(reason: String)
    }

    public private(set) var state: State
    /// Failed attempts since the link last proved to be good.
    public private(set) var failures = 0

    private static let attemptDeadline: Int64 = 5_000_000_000
    private static let leastBackoff: Int64 = 50_000_000
    private static let greatestBackoff: Int64 = 2_000_000_000

    public init() {
        state = .waiting(until: 0)
    }

    public var isReady: Bool {
        state == .ready
    }

    /// Time has passed.
    /// - Parameter random: 0..<1, for the jitter of a next attempt.
    public mutating func timePassed(now: Int64, random: Double) -> Action {
        switch state {
        case .waiting(let until) where now >= until:
            state = .connecting(until: now.addingClamped(Self.attemptDeadline))
            return .connect
        case .connecting(let until) where now >= until, .greeting(_, let until) where now >= until:
            return fail("Redis did not answer within 5 s.", now: now, random: random)
        default: return .nothing
        }
    }

    /// The socket is connected.
    /// - Parameter greeting: how many commands the greeting has.
    public mutating func connected(greeting: Int, now: Int64) -> Action {
        guard case .connecting = state else { return .nothing }
        guard greeting > 0 else {
            state = .ready
            return .becomeReady
        }
        state = .greeting(owed: greeting, until: now.addingClamped(Self.attemptDeadline))
        return .greet
    }

    /// An answer to the greeting came.
    public mutating func greeted(_ reply: RESPValue, now: Int64, random: Double) -> Action {
        guard case .greeting(let owed, let until) = state else { return .nothing }
        if let refusal = Self.refusal(reply) { return fail(refusal, now: now, random: random) }
        guard owed == 1 else {
            state = .greeting(owed: owed - 1, until: until)
            return .nothing
        }
        state = .ready
        return .becomeReady
    }

    /// The link has proved to be good: only then does the waiting begin anew. A Redis that greets and then fails is not hurried.
    public mutating func proved() {
        failures = 0
    }

    /// The socket broke, or what came on it made no sense.
    public mutating func lost(_ reason: String, now: Int64, random: Double) -> Action {
        if case .waiting = state { return .nothing }
        return fail(reason, now: now, random: random)
    }

    private mutating func fail(_ reason: String, now: Int64, random: Double) -> Action {
        let ceiling = min(Self.greatestBackoff, Self.leastBackoff << (min(failures, 10) + 1))
        failures = failures.addingClamped(1)
        let wait = Self.leastBackoff + Int64(Double(max(0, ceiling - Self.leastBackoff)) * min(max(random, 0), 1))
        state = .waiting(until: now.addingClamped(wait))
        return .drop(reason: reason)
    }

    /// Why an answer to the greeting means that this Redis can't be used: an error, or the wrong role; nil where it does not.
    public static func refusal(_ reply: RESPValue) -> String? {
        if let error = reply.errorText { return sentence(error) }
        // Only ROLE answers with a list.
        guard let role = reply.array?.first?.text, role != "master" else { return nil }
        return role == "sentinel"
            ? "This is a sentinel, not a Redis: use redis+sentinel://host:port/name."
            : "This Redis is no primary but a replica."
    }

    /// Whether the user lacks a right. What a script does is refused in other words.
    public static func isForbidden(_ error: String) -> Bool {
        error.hasPrefix("NOPERM") || error.contains("The user executing the script can't")
    }

    /// What Redis' refusal of a greeting means to the operator.
    public static func sentence(_ error: String) -> String {
        if error.hasPrefix("WRONGPASS") || error.contains("invalid password") || error.contains("invalid username") {
            return "Redis refuses the user or password: correct redis.url or redis.password_file."
        }
        if error.hasPrefix("NOAUTH") {
            return "Redis asks for a password: give it in redis.url or redis.password_file."
        }
        if error.contains("without any password configured") || error.contains("no password is set") {
            return "Redis has no password, but one was given: remove it from redis.url."
        }
        if error.contains("DB index") { return "Redis has no database of that number: correct redis.url." }
        if isForbidden(error) {
            let parts = error.split(separator: "'", omittingEmptySubsequences: false)
            let command =
                error.hasPrefix("NOPERM") && parts.count == 3 ? parts[1].uppercased() : "a key or command it needs"
            return "Redis forbids this user \(command): give it its ACL line in the README (ACL SETUSER)."
        }
        if error.hasPrefix("LOADING") { return "Redis is still loading its data." }
        // Redis repeats the arguments of a command that it does not know: a password may be among them.
        let text = error.firstRange(of: ", with args").map { String(error[..<$0.lowerBound]) } ?? error
        return "Redis answered: \(text)"
    }
}

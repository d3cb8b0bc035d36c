/// How much of something a connection may send (protocol.md, Limits).
public struct RateLimit: Equatable, Sendable {
    /// How much in a second, on average; 0: as much as it likes.
    public let perSecond: Int
    /// The time whose allowance may be used at once.
    public let burst: Milliseconds

    public init(perSecond: Int, burst: Milliseconds) {
        self.perSecond = max(0, perSecond)
        self.burst = burst
    }

    /// What a number of them takes to come back, in nanoseconds, rounded down.
    fileprivate func nanoseconds(_ count: Int) -> Int64 {
        Int64(clamping: count).multipliedClamped(by: 1_000_000_000) / Int64(clamping: max(1, perSecond))
    }

    fileprivate var burstNanoseconds: Int64 {
        burst.count.multipliedClamped(by: 1_000_000)
    }
}

/// A bucket that fills at the pace of a limit and holds what its burst allows.
///
/// Eight bytes: not what it holds is kept, but when it will be full again. So one that nobody takes from needs no care.
public struct TokenBucket: Equatable, Sendable {
    /// On CLOCK_BOOTTIME, in nanoseconds.
    private var fullAt = Int64.min

    /// A full one.
    public init() {}

    /// Whether there is one whole token; where the bucket is too small for one, whether it is full.
    public func hasToken(_ limit: RateLimit, at now: BootTime) -> Bool {
        wait(limit, at: now) == 0
    }

    /// Takes tokens, also those that are not there yet: what has come is counted whole, and what comes next waits the longer.
    public mutating func take(_ count: Int, _ limit: RateLimit, at now: BootTime) {
        guard limit.perSecond > 0 else { return }
        fullAt = max(fullAt, now.nanoseconds).addingClamped(limit.nanoseconds(count))
    }

    public func isFull(at now: BootTime) -> Bool {
        fullAt <= now.nanoseconds
    }

    /// How long until there is a token, in nanoseconds.
    public func wait(_ limit: RateLimit, at now: BootTime) -> Int64 {
        guard limit.perSecond > 0 else { return 0 }
        let room = max(0, limit.burstNanoseconds.subtractingClamped(limit.nanoseconds(1)))
        return max(0, fullAt.subtractingClamped(now.nanoseconds).subtractingClamped(room))
    }
}

/// What one connection may send, all in all.
public struct ConnectionRates: Equatable, Sendable {
    public var messages: RateLimit
    public var bytes: RateLimit
    public var control: RateLimit

    /// - Parameters:
    ///   - messages: `limits.messages_per_second`.
    ///   - bytes: `limits.bytes_per_second`, headers of frames included.
    ///   - control: `limits.control_per_second`: pings and pongs.
    ///   - burst: `limits.burst`, of each of them.
    public init(
        messages: Int = 100,
        bytes: Int = 1 << 20,
        control: Int = 20,
        burst: Milliseconds = .seconds(10)
    ) {
        self.messages = RateLimit(perSecond: messages, burst: burst)
        self.bytes = RateLimit(perSecond: bytes, burst: burst)
        self.control = RateLimit(perSecond: control, burst: burst)
    }
}

/// What one connection has used of its rates.
public struct RateState: Equatable, Sendable {
    private var messages = TokenBucket()
    private var bytes = TokenBucket()
    private var control = TokenBucket()

    public init() {}

    /// Whether nothing of the rates is used at the moment.
    public func isWhole(at now: BootTime) -> Bool {
        messages.isFull(at: now) && bytes.isFull(at: now) && control.isFull(at: now)
    }

    /// Whether the next message may be taken.
    public func mayRead(_ rates: ConnectionRates, at now: BootTime) -> Bool {
        messages.hasToken(rates.messages, at: now) && bytes.hasToken(rates.bytes, at: now)
    }

    public mutating func tookMessage(_ rates: ConnectionRates, at now: BootTime) {
        messages.take(1, rates.messages, at: now)
    }

    public mutating func tookBytes(_ count: Int, _ rates: ConnectionRates, at now: BootTime) {
        bytes.take(count, rates.bytes, at: now)
    }

    /// - Returns: whether it was within the rate.
    public mutating func tookControl(_ rates: ConnectionRates, at now: BootTime) -> Bool {
        guard control.hasToken(rates.control, at: now) else { return false }
        control.take(1, rates.control, at: now)
        return true
    }
}

/// For how long a connection has been held back without a break.
///
/// It goes on in steps: held until there are tokens, then let go on until they are used up. That is a break only where it then has
/// nothing more to say for a while: one that always has is held back all the time.
public struct HoldingBack: Equatable, Sendable {
    public private(set) var since: BootTime
    public private(set) var isHeld = true
    private var ended = BootTime(nanoseconds: .min)

    /// What is less is no break.
    public static let leastBreak = Milliseconds(5)

    public init(at now: BootTime) {
        since = now
    }

    public mutating func hold(at now: BootTime) {
        if !isHeld, isOver(at: now) { since = now }
        isHeld = true
    }

    /// It has tokens, or has used them to say all that it had to.
    public mutating func letGo(at now: BootTime) {
        isHeld = false
        ended = now
    }

    /// What it could not do anything about does not count.
    public mutating func restart(at now: BootTime) {
        since = now
    }

    public func isOver(at now: BootTime) -> Bool {
        !isHeld && now.since(ended) >= Self.leastBreak
    }
}

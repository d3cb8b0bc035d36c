/// What a ``FaultProxy`` does to the bytes of one direction of one kind of link.
public enum Fault: Equatable, Sendable {
    /// They pass.
    case pass
    /// Whole pushes of these kinds are taken out of a subscription; all else passes. On other bytes: as ``pass``.
    case drop(Pushes)
    /// They are held, and delivered late when another fault is set.
    case stall
    /// They are taken and never delivered, while the sockets stay open. A link that has lost bytes so is half-open for ever: it never
    /// carries any again in that direction.
    case swallow

    /// Kinds of pushes on a subscription. What acknowledges a subscription always passes.
    public struct Pushes: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Messages on the channel of the decisions.
        public static let events = Pushes(rawValue: 1)
        /// Messages on a gate's own channel: its probe, and questions to it.
        public static let control = Pushes(rawValue: 2)
        /// Redis' own: keys that were changed.
        public static let invalidations = Pushes(rawValue: 4)
        /// Messages on any other channel, of rooms.
        public static let others = Pushes(rawValue: 8)
    }
}

/// Whose bytes a fault concerns.
public struct FaultScope: Equatable, Sendable {
    public enum Link: CaseIterable, Sendable {
        /// A link that has not sent SUBSCRIBE.
        case command
        case subscription
    }

    public enum Direction: CaseIterable, Sendable {
        case toRedis
        case toGate
    }

    /// nil: both.
    public var link: Link?
    /// nil: both.
    public var direction: Direction?

    public init(_ link: Link? = nil, _ direction: Direction? = nil) {
        self.link = link
        self.direction = direction
    }

    func includes(_ link: Link, _ direction: Direction) -> Bool {
        (self.link ?? link) == link && (self.direction ?? direction) == direction
    }
}

/// What a proxy did, in numbers.
public struct FaultCounts: Equatable, Sendable {
    /// Links that were opened to Redis.
    public var links = 0
    /// Pushes that were taken out.
    public var dropped = 0
    /// Bytes that were taken and not delivered.
    public var swallowed = 0
    /// Bytes that were delivered late.
    public var late = 0
    /// Links that were closed by ``FaultProxy/cut(_:)`` or refused.
    public var cut = 0

    public init(links: Int = 0) {
        self.links = links
    }
}

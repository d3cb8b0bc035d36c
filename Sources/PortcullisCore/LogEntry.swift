/// A decision as the log and the standing decisions hold it.
public struct LoggedEvent: Equatable, Sendable {
    /// The event's id, its own or the one that stands for it.
    public let key: Identifier
    /// `o`: the decision's place among all, kept by copies. In ms of Redis' time.
    public let order: Int64
    /// The version that a `permit` got.
    public let version: Int64?
    public let event: Event

    public init(key: Identifier, order: Int64, version: Int64? = nil, event: Event) {
        self.key = key
        self.order = order
        self.version = version
        self.event = event
    }
}

/// One entry of the revocation log, as the channel tells of it.
public struct LogEntry: Equatable, Sendable {
    public let position: LogPosition
    /// The entry before it, where a message says so.
    public let previous: LogPosition?
    public let logged: LoggedEvent

    public init(
        position: LogPosition,
        previous: LogPosition?,
        key: Identifier,
        order: Int64,
        version: Int64?,
        event: Event
    ) {
        self.position = position
        self.previous = previous
        logged = LoggedEvent(key: key, order: order, version: version, event: event)
    }

    public var key: Identifier { logged.key }
    public var order: Int64 { logged.order }
    public var version: Int64? { logged.version }
    public var event: Event { logged.event }
}

/// An id of a Redis stream: `<ms>-<sequence>`.
public struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let milliseconds: UInt64
    public let sequence: UInt64

    /// Before every entry.
    public static let zero = LogPosition(milliseconds: 0, sequence: 0)

    public init(milliseconds: UInt64, sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// nil where the text is no stream id.
    public init?(_ text: Identifier) {
        let parts = text.bytes.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ (1...20).contains($0.count) }),
            text.bytes.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }),
            let milliseconds = UInt64(String(decoding: parts[0], as: UTF8.self)),
            let sequence = UInt64(String(decoding: parts[1], as: UTF8.self))
        else { return nil }
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    public static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }

    public var description: String {
        "\(milliseconds)-\(sequence)"
    }
}

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
        self.init(text.bytes[...])
    }

    /// nil where the bytes are no stream id.
    public init?(_ bytes: ArraySlice<UInt8>) {
        guard let dash = bytes.firstIndex(of: UInt8(ascii: "-")), let milliseconds = Self.number(bytes[..<dash]),
            let sequence = Self.number(bytes[(dash + 1)...])
        else { return nil }
        self.init(milliseconds: milliseconds, sequence: sequence)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard (1...20).contains(digits.count) else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLargeStill) = tens.addingReportingOverflow(UInt64(digit - 0x30))
            guard !isTooLarge, !isTooLargeStill else { return nil }
            value = sum
        }
        return value
    }

    public static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }

    public var description: String {
        "\(milliseconds)-\(sequence)"
    }
}

public import PortcullisCore

/// What comes on `P:events`: an entry of the log the instant it was written, or an event that somebody only published.
public enum ChannelMessage: Equatable, Sendable {
    case logged(LogEntry)
    /// The event, as it was published.
    case bare(Event, payload: [UInt8])

    /// Reads one message.
    public static func decode(
        _ payload: [UInt8],
        roles: RoleOrder,
        trust: EventTrust? = nil
    ) throws(EventRejection) -> ChannelMessage {
        guard payload.count <= EventCodec.maximumBytes + 1024 else { throw .tooLarge }
        var json = StrictJSON(maximumDepth: 33)
        do throws(JSONError) {
            try json.parse(payload.span)
        } catch {
            throw .notJSON(error)
        }
        let reader = EventReader(bytes: payload, json: json, roles: roles, trust: trust)
        // A bare event says its version; in an entry the event stands within.
        guard json.member("v", in: payload.span) == nil, let inner = json.member("event", in: payload.span),
            json.kind(of: inner) == .object
        else {
            guard payload.count <= EventCodec.maximumBytes else { throw .tooLarge }
            return .bare(try reader.event(0, mayLackID: false), payload: payload)
        }
        guard let idNode = json.member("id", in: payload.span), let id = json.string(idNode, in: payload.span),
            let position = LogPosition(id)
        else { throw .badField("id") }
        guard let keyNode = json.member("i", in: payload.span), let key = json.string(keyNode, in: payload.span),
            key.isWellFormed
        else { throw .badField("i") }
        guard let orderNode = json.member("o", in: payload.span),
            let order = json.integer(orderNode, in: payload.span), order >= 0
        else { throw .badField("o") }
        let previous = json.member("prev", in: payload.span)
            .flatMap { json.string($0, in: payload.span) }.flatMap(LogPosition.init)
        let version = json.member("version", in: payload.span).flatMap { json.integer($0, in: payload.span) }
        let event = try reader.event(inner, mayLackID: true)
        // Entries are applied once, by `i`: under the id of another event this one would hide it.
        guard event.id == nil || event.id == key else { throw .badField("i") }
        return .logged(
            LogEntry(
                position: position,
                previous: previous,
                key: key,
                order: order,
                version: version,
                event: event
            )
        )
    }
}

/// One field of `P:standing`: `{"o":…,"event":{…}}`.
public struct StandingEntry: Equatable, Sendable {
    public let order: Int64
    public let event: Event

    public static func decode(
        _ bytes: [UInt8],
        roles: RoleOrder,
        trust: EventTrust? = nil
    ) throws(EventRejection) -> StandingEntry {
        guard bytes.count <= EventCodec.maximumBytes + 1024 else { throw .tooLarge }
        var json = StrictJSON(maximumDepth: 33)
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw .notJSON(error)
        }
        guard let node = json.member("o", in: bytes.span), let order = json.integer(node, in: bytes.span) else {
            throw .badField("o")
        }
        guard let inner = json.member("event", in: bytes.span) else { throw .badField("event") }
        let reader = EventReader(bytes: bytes, json: json, roles: roles, trust: trust)
        let event = try reader.event(inner, mayLackID: true)
        return StandingEntry(order: order, event: event)
    }
}

/// One entry of the revocation log.
public struct LogEntry: Equatable, Sendable {
    public let position: LogPosition
    /// The entry before it, where a message says so.
    public let previous: LogPosition?
    /// The event's id, its own or the one that stands for it.
    public let key: Identifier
    /// `o`: the decision's place among all, kept by copies.
    public let order: Int64
    /// The version that a `permit` got.
    public let version: Int64?
    public let event: Event

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
        self.key = key
        self.order = order
        self.version = version
        self.event = event
    }
}

/// An id of a Redis stream: `<ms>-<sequence>`.
public struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let milliseconds: UInt64
    public let sequence: UInt64

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

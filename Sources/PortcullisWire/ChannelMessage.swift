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
        var version: Int64?
        if let node = json.member("version", in: payload.span) {
            version = json.integer(node, in: payload.span)
            guard let version, (1...Grant.greatestVersion).contains(version) else { throw .badField("version") }
        }
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
        guard let node = json.member("o", in: bytes.span), let order = json.integer(node, in: bytes.span), order >= 0
        else { throw .badField("o") }
        guard let inner = json.member("event", in: bytes.span) else { throw .badField("event") }
        let reader = EventReader(bytes: bytes, json: json, roles: roles, trust: trust)
        let event = try reader.event(inner, mayLackID: true)
        return StandingEntry(order: order, event: event)
    }
}

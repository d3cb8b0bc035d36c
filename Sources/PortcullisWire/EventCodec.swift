public import PortcullisCore

/// Why an event is not accepted. Never skipped in silence: counted, logged, and shown in readiness.
public enum EventRejection: Error, Equatable, Sendable {
    case tooLarge
    case notJSON(JSONError)
    case notAnObject
    case unknownVersion
    case unknownType(String)
    case unknownSelector(String)
    case emptySelector
    /// A selector field that names a connection, in an event that is about credentials.
    case connectionSelector(String)
    case badField(String)
    /// An event of this type must carry an `event` id.
    case needsID(String)
    /// Events must be signed here, and it is not, or lacks its `event` id or `at_ms`.
    case unsigned
    case badSignature
    /// Signed longer ago than the log remembers, or ahead of Redis' time.
    case wrongTime

    /// The label of the metric.
    public var label: String {
        switch self {
        case .tooLarge: "too_large"
        case .notJSON, .notAnObject: "not_json"
        case .unknownVersion: "unknown_version"
        case .unknownType: "unknown_type"
        case .unknownSelector: "unknown_selector"
        case .emptySelector: "empty_selector"
        case .connectionSelector: "connection_selector"
        case .badField: "bad_field"
        case .needsID: "needs_id"
        case .unsigned: "unsigned"
        case .badSignature: "bad_signature"
        case .wrongTime: "wrong_time"
        }
    }

    /// Whether a newer gate might have understood it.
    public var isUnknown: Bool {
        switch self {
        case .unknownVersion, .unknownType, .unknownSelector: true
        default: false
        }
    }
}

extension EventRejection: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooLarge: "The event is larger than 64 KiB."
        case .notJSON(let error): "The event is not JSON: \(error)."
        case .notAnObject: "The event is no JSON object."
        case .unknownVersion: "The event's version `v` is not 1."
        case .unknownType(let type): "The event's type \(type) is not known."
        case .unknownSelector(let field): "The selector field \(field) is not known."
        case .emptySelector: #"The event's selector is missing or empty; {"all":true} selects everything."#
        case .connectionSelector(let field):
            "The selector field \(field) names connections, which only `disconnect` and `notify` can: use `disconnect`."
        case .badField(let field): "The event's field \(field) is missing or has a value of the wrong kind."
        case .needsID(let type): "An event of type \(type) must carry an `event` id."
        case .unsigned: "Events must be signed here: the event lacks `sig`, `event` or `at_ms`."
        case .badSignature: "The event's signature is not valid."
        case .wrongTime:
            "The event's `at_ms` is older than guarantee.retention, or more than 60 s ahead of Redis' time."
        }
    }
}

/// Events as JSON (redis.md, *Events*).
public enum EventCodec {
    /// The largest event that is read.
    public static let maximumBytes = 64 << 10

    // MARK: - Decoding

    /// Reads one event.
    /// - Parameters:
    ///   - mayLackID: whether any type may come without an id: in the log it stands beside the event.
    ///   - trust: what a signature is held against; nil: events need none.
    public static func decode(
        _ bytes: [UInt8],
        roles: RoleOrder,
        mayLackID: Bool = false,
        trust: EventTrust? = nil
    ) throws(EventRejection) -> Event {
        var json = StrictJSON(maximumDepth: 32)
        return try decode(bytes, roles: roles, mayLackID: mayLackID, trust: trust, &json)
    }

    /// Reads one event with a parser that is kept; it reads 32 levels.
    public static func decode(
        _ bytes: [UInt8],
        roles: RoleOrder,
        mayLackID: Bool,
        trust: EventTrust?,
        _ json: inout StrictJSON
    ) throws(EventRejection) -> Event {
        guard bytes.count <= maximumBytes else { throw .tooLarge }
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw .notJSON(error)
        }
        let reader = EventReader(bytes: bytes, json: json, roles: roles, trust: trust)
        return try reader.event(0, mayLackID: mayLackID)
    }

    // MARK: - Encoding

    /// Writes an event; its members stand in a fixed order.
    public static func encode(_ event: Event, roles: RoleOrder) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("v", 1)
            if let id = event.id { json.member("event", id) }
            json.member("type", event.decision.type)
            if let at = event.at { json.member("at_ms", at.milliseconds) }
            if let actor = event.actor { json.member("actor", actor) }
            if let reason = event.reason { json.member("reason", reason) }
            if let message = event.message { json.member("message", message) }
            encode(event.decision, roles, hasReason: event.reason != nil, into: &json)
            if event.wantsReceipt { json.member("ack", true) }
        }
    }

    private static func encode(
        _ decision: Decision,
        _ roles: RoleOrder,
        hasReason: Bool,
        into json: inout JSONBuilder
    ) {
        func selectors(_ select: Selector, _ except: Selector?) {
            json.name("select")
            encode(select, into: &json)
            if let except {
                json.name("except")
                encode(except, into: &json)
            }
        }
        switch decision {
        case .revoke(let revocation):
            selectors(revocation.select, revocation.except)
            switch revocation.issuedBefore {
            case .append: break
            case .time(let time): json.member("issued_before_ms", time.milliseconds)
            case .never: json.member("issued_before_ms", "never")
            }
            if let expires = revocation.expires { json.member("expires_at_ms", expires.milliseconds) }
        case .block(let select, let except, let until):
            selectors(select, except)
            if let until { json.member("until_ms", until.milliseconds) }
        case .unblock(let select):
            selectors(select, nil)
        case .permit(let permit):
            json.member("user", permit.user)
            json.member("resource", permit.resource)
            json.name("role")
            if let role = permit.role { json.value(roles.name(of: role)) } else { json.null() }
            if let version = permit.version { json.member("version", version) }
        case .reauthenticate(let select, let except, let within):
            selectors(select, except)
            json.member("within_s", within.count / 1000)
        case .lift(let event):
            json.member("decision", event)
        case .notify(let select, let except, let data):
            selectors(select, except)
            json.member("data", json: data)
        case .disconnect(let select, let except, let code, let reason):
            selectors(select, except)
            json.member("code", Int64(code))
            // The member is the event's reason too, and stands there already where the event has one.
            if let reason, !hasReason { json.member("reason", reason) }
        }
    }

    /// Writes a selector as a JSON object.
    public static func encode(_ select: Selector, into json: inout JSONBuilder) {
        json.object { json in
            for field in Identity.Field.allCases {
                if let id = select.ids[field] { json.member(field.name, id) }
            }
            if let network = select.network { json.member("ip", network.description) }
            if let connection = select.connection { json.member("connection", connection) }
            if let resource = select.resource { json.member("resource", resource) }
            if let role = select.role { json.member("role", role) }
            if select.all { json.member("all", true) }
        }
    }
}

extension Identity.Field {
    /// The field's name in a selector.
    public var name: String {
        switch self {
        case .user: "user"
        case .session: "session"
        case .token: "token"
        case .tokenHash: "token_hash"
        case .tenant: "tenant"
        case .device: "device"
        case .key: "key"
        case .issuer: "issuer"
        }
    }

    public init?(name: String) {
        guard let field = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = field
    }
}

/// What a gate sends. The cases up to `closing` are the messages of the subprotocol `portcullis.v1`; payloads called `data` are kept
/// as the JSON text that they came as.
public enum ServerMessage: Equatable, Sendable {
    /// Who one is and what one may do: the first message of a live connection.
    case welcome(Welcome)
    /// A role on a resource has changed; it comes before any effect of it.
    case permission(PermissionChange)
    /// The credential is about to expire: refresh it.
    case expiring(expiresAt: Double?, inSeconds: Double?)
    /// A refresh was accepted.
    case refreshed(expiresAt: Double?, permissions: [String: String])
    /// Refresh with a newer authentication before the deadline, or be closed with 4401.
    case reauthenticate(deadlineSeconds: Double?, reason: String?)
    /// Pushed by an operator or a backend.
    case notice(data: RawJSON)
    /// Relayed from another member of a resource.
    case message(Relayed)
    /// A membership has begun: one's own, or (with `user`) another's.
    case joined(Membership)
    /// A membership has ended.
    case left(Membership)
    /// Messages on the resource may have been lost: read the document anew.
    case missed(resource: String)
    /// A message of ours was not acted on.
    case error(MessageError)
    /// The connection is about to be closed: always the last message.
    case closing(Closing)
    /// A text that is no message of `portcullis.v1` where that is not spoken: a pushed payload or a relayed frame.
    case text(String)
    /// A binary message, in either subprotocol.
    case binary([UInt8])
    /// A text in `portcullis.v1` of a type that this library does not know, or that lacks what its type must have.
    case other(type: String?, text: String)
}

/// The fields of `welcome`.
public struct Welcome: Equatable, Sendable {
    public var connection: String
    public var user: String
    public var session: String?
    /// Seconds since the epoch, perhaps with a fraction; nil where nothing expires.
    public var expiresAt: Double?
    /// The resource that the connection is bound to, and the role on it.
    public var resource: String?
    public var role: String?
    /// Roles by resource.
    public var permissions: [String: String]
    /// The name of the gate.
    public var node: String?
    /// How often the gate pings, in seconds.
    public var heartbeatSeconds: Double?
}

/// The fields of `permission`.
public struct PermissionChange: Equatable, Sendable {
    public var resource: String
    /// The role before, nil for none.
    public var from: String?
    /// The role from now on, nil for none.
    public var to: String?
    public var version: Int?
    public var reason: String?
}

/// The fields of `message`.
public struct Relayed: Equatable, Sendable {
    public var resource: String
    public var user: String?
    public var connection: String?
    /// What was published; nil where a binary frame of a raw connection was relayed.
    public var data: RawJSON?
    /// A binary frame of a raw connection, in base64.
    public var base64: String?
}

/// The fields of `joined` and `left`.
public struct Membership: Equatable, Sendable {
    public var resource: String
    public var role: String?
    /// Whose membership it is; nil for one's own.
    public var user: String?
    /// Who is in the room, in one's own `joined`, as it came; ``users`` are the names in it.
    public var members: RawJSON?
    /// What the `join` or `leave` carried.
    public var ref: RawJSON?

    /// The users in the room, oneself among them; nil where the gate did not say (`resources.presence` is off, or it could not ask).
    public var users: [String]? {
        members?.elements?.compactMap { $0.string ?? $0.members?["user"]?.string }
    }
}

/// The fields of `error`.
public struct MessageError: Equatable, Sendable {
    /// `unknown_type`, `bad_message`, `forbidden`, `not_a_member`, `bad_resource`, `rate_limited`, `too_large`, `unavailable`, or newer.
    public var code: String
    public var detail: String?
    /// What the message that failed carried.
    public var ref: RawJSON?
}

/// The fields of `closing`.
public struct Closing: Equatable, Sendable {
    /// The close code that will follow.
    public var code: UInt16
    public var reason: String
    /// Nil where the gate gives an advice that this library does not know: then the close code decides.
    public var reconnect: ReconnectAdvice?
    /// At most a day.
    public var retryAfter: Duration?
    public var detail: String?
}

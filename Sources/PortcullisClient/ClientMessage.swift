/// What a client sends.
public enum ClientMessage: Equatable, Sendable {
    /// The first message of a connection without a credential, where the gate accepts one.
    case authenticate(token: Secret)
    /// A newer token of the same user; answered with `refreshed`, or the connection is closed with 4401.
    case refresh(token: Secret)
    /// Become a member of a resource; `ref` is echoed in the answer.
    case join(resource: String, ref: RawJSON? = nil)
    case leave(resource: String, ref: RawJSON? = nil)
    /// Relayed to every other member of the resource; takes the role `editor`.
    case publish(resource: String, data: RawJSON, ref: RawJSON? = nil)
    /// A text frame as it stands: the messages of a raw connection.
    case text(String)
    /// A binary frame as it stands.
    case binary([UInt8])
}

extension ClientMessage {
    /// The text of the frame, `type` first; nil for a binary message.
    var text: String? {
        switch self {
        case .authenticate(let token): Self.object("authenticate", [("token", RawJSON(string: token.value))])
        case .refresh(let token): Self.object("refresh", [("token", RawJSON(string: token.value))])
        case .join(let resource, let ref): Self.object("join", [("resource", RawJSON(string: resource)), ("ref", ref)])
        case .leave(let resource, let ref):
            Self.object("leave", [("resource", RawJSON(string: resource)), ("ref", ref)])
        case .publish(let resource, let data, let ref):
            Self.object("publish", [("resource", RawJSON(string: resource)), ("data", data), ("ref", ref)])
        case .text(let text): text
        case .binary: nil
        }
    }

    private static func object(_ type: String, _ members: [(name: String, value: RawJSON?)]) -> String {
        var text = "{\"type\":\"\(type)\""
        for (name, value) in members {
            if let value { text += ",\"\(name)\":\(value.text)" }
        }
        return text + "}"
    }
}

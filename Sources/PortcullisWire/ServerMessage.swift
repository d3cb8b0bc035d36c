public import PortcullisCore

/// What the gate says in `portcullis.v1` (protocol.md): the JSON text of each message.
public enum ServerMessage {
    /// Everything a `welcome` tells a connection about itself.
    public struct Welcome: Sendable {
        public var connection: ConnectionID
        public var identity: Identity
        public var resource: Identifier?
        public var role: Role?
        public var permissions: [Identifier: Role]
        public var node: String
        public var heartbeat: Milliseconds

        public init(
            connection: ConnectionID,
            identity: Identity,
            resource: Identifier?,
            role: Role?,
            permissions: [Identifier: Role],
            node: String,
            heartbeat: Milliseconds
        ) {
            self.connection = connection
            self.identity = identity
            self.resource = resource
            self.role = role
            self.permissions = permissions
            self.node = node
            self.heartbeat = heartbeat
        }
    }

    public static func appendWelcome(_ welcome: Welcome, roles: RoleOrder, to buffer: inout [UInt8]) {
        JSONBuilder.object(to: &buffer) { json in
            json.member("type", "welcome")
            json.member("connection", welcome.connection)
            welcome.identity.withBytes(of: .user) { json.member("user", $0) }
            welcome.identity.withBytes(of: .session) { if !$0.isEmpty { json.member("session", $0) } }
            json.expiry(welcome.identity.expires)
            if let resource = welcome.resource { json.member("resource", resource) }
            if let role = welcome.role { json.member("role", roles.name(of: role)) }
            json.permissions(welcome.permissions, roles)
            json.member("node", welcome.node)
            json.member("heartbeat_s", seconds: WallTime(milliseconds: welcome.heartbeat.count))
        }
    }

    public static func permission(
        resource: Identifier,
        from: Role?,
        to: Role?,
        version: Int64,
        reason: String?,
        roles: RoleOrder
    ) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "permission")
            json.member("resource", resource)
            for (name, role) in [("from", from), ("to", to)] {
                json.name(name)
                if let role { json.value(roles.name(of: role)) } else { json.null() }
            }
            json.member("version", version)
            if let reason { json.member("reason", reason) }
        }
    }

    /// - Parameter data: JSON.
    public static func notice(data: [UInt8]) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "notice")
            json.member("data", json: data)
        }
    }

    /// What was said in a room, to a member: a text as a JSON string, bytes as base 64. Who comes and who goes is told as `joined` and
    /// `left`, with `user`.
    /// - Parameter connection: nil where a backend said it.
    public static func appendMessage(
        resource: Identifier,
        user: Identifier?,
        connection: ConnectionID?,
        _ content: RoomMessage.Content,
        to buffer: inout [UInt8]
    ) {
        JSONBuilder.object(to: &buffer) { json in
            json.member("type", content.kind ?? "message")
            json.member("resource", resource)
            if content == .missed { return }
            if let user { json.member("user", user) }
            if content.isPresence { return }
            if let connection { json.member("connection", connection) }
            switch content {
            case .json(let data): json.member("data", json: data)
            case .text(let text): json.member("data", text.span)
            case .binary(let bytes): json.member("b64", base64: bytes)
            case .missed, .joined, .left: break
            }
        }
    }

    /// One's own membership stands.
    /// - Parameter members: who is in the room, as far as that is known; nil: it is not.
    public static func joined(
        resource: Identifier,
        role: Role,
        members: [Identifier]? = nil,
        roles: RoleOrder,
        ref: [UInt8]?
    ) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "joined")
            json.member("resource", resource)
            json.member("role", roles.name(of: role))
            if let members {
                json.name("members")
                json.array { json in
                    for member in members { json.value(member) }
                }
            }
            if let ref { json.member("ref", json: ref) }
        }
    }

    public static func left(resource: Identifier, ref: [UInt8]?) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "left")
            json.member("resource", resource)
            if let ref { json.member("ref", json: ref) }
        }
    }

    /// Messages on the resource may have been lost: its document is to be read anew.
    public static func missed(resource: Identifier) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "missed")
            json.member("resource", resource)
        }
    }

    public static func error(_ refusal: MessageRefusal) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "error")
            json.member("code", refusal.code.rawValue)
            json.member("detail", refusal.detail)
            if let ref = refusal.ref { json.member("ref", json: ref) }
        }
    }

    /// Always the last message.
    public static func closing(
        code: UInt16,
        reason: String,
        reconnect: Reconnect,
        retryAfter: Milliseconds?,
        detail: String?
    ) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "closing")
            json.member("code", Int64(code))
            json.member("reason", reason)
            json.member("reconnect", reconnect.rawValue)
            if let retryAfter { json.member("retry_after_ms", retryAfter.count) }
            if let detail { json.member("detail", detail) }
        }
    }
}

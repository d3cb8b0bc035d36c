extension ServerMessage {
    /// Reads one text message of `portcullis.v1`. Unknown fields are ignored; what cannot be read becomes ``other(type:text:)``, since a
    /// newer gate must not break an older client.
    public init(v1 text: String) {
        guard let members = RawJSON(text)?.members, let type = members["type"]?.string else {
            self = .other(type: nil, text: text)
            return
        }
        self = Self.decode(type, Fields(members: members)) ?? .other(type: type, text: text)
    }

    private static func decode(_ type: String, _ fields: Fields) -> ServerMessage? {
        switch type {
        case "welcome": Welcome(fields).map(ServerMessage.welcome)
        case "permission": PermissionChange(fields).map(ServerMessage.permission)
        case "expiring": .expiring(expiresAt: fields.number("expires_at"), inSeconds: fields.number("in_s"))
        case "refreshed":
            .refreshed(expiresAt: fields.number("expires_at"), permissions: fields.strings("permissions"))
        case "reauthenticate":
            .reauthenticate(deadlineSeconds: fields.number("deadline_s"), reason: fields.string("reason"))
        case "notice": .notice(data: fields.members["data"] ?? .null)
        case "message": Relayed(fields).map(ServerMessage.message)
        case "joined": Membership(fields).map(ServerMessage.joined)
        case "left": Membership(fields).map(ServerMessage.left)
        case "missed": fields.string("resource").map { .missed(resource: $0) }
        case "error": MessageError(fields).map(ServerMessage.error)
        case "closing": Closing(fields).map(ServerMessage.closing)
        default: nil
        }
    }
}

/// The members of one message, by type.
private struct Fields {
    let members: [String: RawJSON]

    func string(_ name: String) -> String? {
        members[name]?.string
    }

    func number(_ name: String) -> Double? {
        members[name]?.number
    }

    /// What is there and not null.
    func value(_ name: String) -> RawJSON? {
        members[name].flatMap { $0.isNull ? nil : $0 }
    }

    func strings(_ name: String) -> [String: String] {
        members[name]?.members?.compactMapValues(\.string) ?? [:]
    }
}

extension Welcome {
    fileprivate init?(_ fields: Fields) {
        guard let connection = fields.string("connection"), let user = fields.string("user") else { return nil }
        self.init(
            connection: connection,
            user: user,
            session: fields.string("session"),
            expiresAt: fields.number("expires_at"),
            resource: fields.string("resource"),
            role: fields.string("role"),
            permissions: fields.strings("permissions"),
            node: fields.string("node"),
            heartbeatSeconds: fields.number("heartbeat_s")
        )
    }
}

extension PermissionChange {
    fileprivate init?(_ fields: Fields) {
        guard let resource = fields.string("resource") else { return nil }
        self.init(
            resource: resource,
            from: fields.string("from"),
            to: fields.string("to"),
            version: fields.members["version"]?.integer,
            reason: fields.string("reason")
        )
    }
}

extension Relayed {
    fileprivate init?(_ fields: Fields) {
        guard let resource = fields.string("resource") else { return nil }
        self.init(
            resource: resource,
            user: fields.string("user"),
            connection: fields.string("connection"),
            // Data may be null: it is what was published.
            data: fields.members["data"],
            base64: fields.string("b64")
        )
    }
}

extension Membership {
    fileprivate init?(_ fields: Fields) {
        guard let resource = fields.string("resource") else { return nil }
        self.init(
            resource: resource,
            role: fields.string("role"),
            user: fields.string("user"),
            members: fields.value("members"),
            ref: fields.value("ref")
        )
    }
}

extension MessageError {
    fileprivate init?(_ fields: Fields) {
        guard let code = fields.string("code") else { return nil }
        self.init(code: code, detail: fields.string("detail"), ref: fields.value("ref"))
    }
}

extension Closing {
    fileprivate init?(_ fields: Fields) {
        guard let code = fields.members["code"]?.integer.flatMap(UInt16.init(exactly:)) else { return nil }
        self.init(
            code: code,
            reason: fields.string("reason") ?? "",
            reconnect: fields.string("reconnect").flatMap(ReconnectAdvice.init(rawValue:)),
            retryAfter: fields.number("retry_after_ms").flatMap { .clamped(seconds: $0 / 1000) },
            detail: fields.string("detail")
        )
    }
}

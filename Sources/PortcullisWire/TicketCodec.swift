public import PortcullisCore

/// One-time tickets (redis.md, *Tickets*): what `P:ticket:<sha-256>` holds.
public enum TicketCodec {
    /// What a ticket says.
    public struct Ticket: Sendable {
        public let identity: Identity
        /// The one resource that it opens; nil: any that the user may view.
        public let resource: Identifier?
    }

    /// Writes a ticket's value.
    /// - Parameter permissions: JSON, resource → role; nil: none.
    public static func encode(
        user: Identifier,
        issued: WallTime,
        expires: WallTime? = nil,
        resource: Identifier? = nil,
        permissions: [UInt8]? = nil
    ) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("user", user)
            json.member("issued_ms", issued.milliseconds)
            if let expires { json.member("expires_at", seconds: expires) }
            if let resource { json.member("resource", resource) }
            if let permissions { json.member("permissions", json: permissions) }
        }
    }

    /// Reads a ticket's value. One that does not say when it was issued is refused: a revocation could not be held against it.
    public static func decode(
        _ bytes: [UInt8],
        roles: RoleOrder,
        _ json: inout StrictJSON
    ) throws(Refusal) -> Ticket {
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw Refusal(.badTicket, "The ticket's value is not JSON.")
        }
        guard let userNode = json.member("user", in: bytes.span),
            let user = json.string(userNode, in: bytes.span), user.isWellFormed
        else { throw Refusal(.badTicket, "The ticket names no valid user.") }
        guard let issuedNode = json.member("issued_ms", in: bytes.span),
            let issued = json.integer(issuedNode, in: bytes.span), issued >= 0
        else { throw Refusal(.badTicket, "The ticket does not say when it was issued.") }
        var expires: WallTime?
        if let node = json.member("expires_at", in: bytes.span), json.kind(of: node) != .null {
            guard let seconds = json.number(node, in: bytes.span), seconds >= 0, seconds < 1e12 else {
                throw Refusal(.badTicket, "The ticket's end is no time.")
            }
            expires = WallTime(milliseconds: Int64(seconds * 1000))
        }
        var resource: Identifier?
        if let node = json.member("resource", in: bytes.span), json.kind(of: node) != .null {
            guard let named = json.string(node, in: bytes.span), named.isWellFormed else {
                throw Refusal(.badTicket, "The ticket's resource is malformed.")
            }
            resource = named
        }
        let identity = Identity(
            user: user,
            issued: WallTime(milliseconds: issued),
            expires: expires,
            kind: .ticket,
            permissions: permissions(bytes, roles, json)
        )
        return Ticket(identity: identity, resource: resource)
    }

    private static func permissions(_ bytes: [UInt8], _ roles: RoleOrder, _ json: StrictJSON) -> [Identifier: Role] {
        guard let node = json.member("permissions", in: bytes.span) else { return [:] }
        var permissions: [Identifier: Role] = [:]
        for (name, value) in json.members(of: node) {
            guard let resource = json.string(name, in: bytes.span), resource.isWellFormed,
                let role = json.string(value, in: bytes.span)
            else { continue }
            permissions[resource] = roles.role(named: role)
        }
        return permissions
    }
}

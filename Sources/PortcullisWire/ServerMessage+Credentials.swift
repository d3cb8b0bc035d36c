public import PortcullisCore

/// What the gate says about the credential of a live connection.
extension ServerMessage {
    /// - Parameter left: how long the credential still lives.
    public static func expiring(_ expires: WallTime, left: Milliseconds) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "expiring")
            json.expiry(expires)
            json.member("in_s", seconds: WallTime(milliseconds: left.count))
        }
    }

    /// Another credential of the same user is in force.
    public static func refreshed(
        expires: WallTime?,
        permissions: [Identifier: Role],
        roles: RoleOrder,
        ref: [UInt8]?
    ) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "refreshed")
            json.expiry(expires)
            json.permissions(permissions, roles)
            if let ref { json.member("ref", json: ref) }
        }
    }

    /// The user must sign in anew.
    /// - Parameter left: the time until the connection is closed for want of it.
    public static func reauthenticate(left: Milliseconds, reason: String) -> [UInt8] {
        JSONBuilder.object { json in
            json.member("type", "reauthenticate")
            json.member("deadline_s", seconds: WallTime(milliseconds: left.count))
            json.member("reason", reason)
        }
    }
}

extension JSONBuilder {
    /// Seconds since the epoch, null where nothing expires.
    mutating func expiry(_ expires: WallTime?) {
        name("expires_at")
        if let expires { value(seconds: expires) } else { null() }
    }

    mutating func permissions(_ permissions: [Identifier: Role], _ roles: RoleOrder) {
        member("permissions") { json in
            for (resource, role) in permissions {
                json.name(resource.bytes)
                json.value(roles.name(of: role))
            }
        }
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// What a credential claims of resources, beside what is stored.
extension GateLoop {
    /// All roles of a connection that are known here: what its credential claims, what was stored while its user was connected, and what
    /// its memberships have.
    func knownPermissions(_ slot: UInt32, _ identity: Identity) -> [Identifier: Role] {
        var permissions = identity.permissions
        if book.count > 0 {
            for (resource, grant) in book.grants(of: identity.user) { permissions[resource] = grant.role }
        }
        // A write copies what the credential claims, and mostly it claims the very role.
        rooms.forEachMembership(of: slot) { if permissions[$0] != $1.role { permissions[$0] = $1.role } }
        return permissions
    }

    /// A live connection's credential claims other roles than before: each change is told, then it takes effect. What is stored counts more.
    func takePermissions(_ slot: UInt32, from old: Identity, to new: Identity) {
        var resources = Set(old.permissions.keys).union(new.permissions.keys)
        rooms.forEachMembership(of: slot) { resource, _ in resources.insert(resource) }
        for resource in resources where lives[Int(slot)].phase == .live {
            let membership = rooms.membership(slot, resource)
            if let membership, membership.version > 0 { continue }
            let grant = book.grant(new.user, resource)
            let from = membership?.role ?? role(old, on: resource, grant)
            let to = role(new, on: resource, grant)
            guard from != to else { continue }
            if lives[Int(slot)].isVersion1 { sayPermission(slot, resource, from, to, 0, nil) }
            guard lives[Int(slot)].phase == .live, let membership else { continue }
            if let to, to >= configuration.roles.viewer {
                rooms.join(slot, resource, role: to, version: membership.version)
            } else if lives[Int(slot)].resource == resource {
                condemn(slot, Closing(.permissionRevoked))
            } else {
                leaveRoom(slot, resource)
            }
        }
    }

    /// Leaves the rooms, but for the one that the connection is bound to, that want a fresher sign-in than the credential has now.
    func leaveRooms(_ slot: UInt32, where isStale: (Identifier) -> Bool) {
        guard lives[Int(slot)].phase == .live else { return }
        var stale: [Identifier] = []
        rooms.forEachMembership(of: slot) { resource, _ in
            if resource != lives[Int(slot)].resource, isStale(resource) { stale.append(resource) }
        }
        for resource in stale where lives[Int(slot)].phase == .live { leaveRoom(slot, resource) }
    }

    /// Ends a membership that the client did not give up itself, and tells it.
    func leaveRoom(_ slot: UInt32, _ resource: Identifier) {
        guard rooms.leave(slot, resource), lives[Int(slot)].isVersion1 else { return }
        say(slot, ServerMessage.left(resource: resource, ref: nil))
    }
}

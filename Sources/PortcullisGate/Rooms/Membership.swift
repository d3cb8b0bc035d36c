import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import PortcullisWire

/// How connections become members of rooms and cease to be, and what the loop hears of the rooms' subscriptions.
extension GateLoop {
    /// How many resources a connection may be a member of.
    static let mostMemberships = 256
    /// How many `join`s of one resource may wait for the same answer.
    private static let mostRefs = 16

    // MARK: - Joining and leaving

    func join(_ slot: UInt32, _ resource: Identifier, _ ref: [UInt8]?) throws(MessageRefusal) {
        if let waiting = joining[slot]?[resource] {
            guard waiting.refs.count < Self.mostRefs else {
                throw MessageRefusal(.unavailable, "The resource is being joined already.", ref: ref)
            }
            joining[slot]?[resource]?.refs.append(ref)
            return
        }
        if let membership = rooms.membership(slot, resource) {
            guard presence != nil else { return sayJoined(slot, resource, membership.role, [ref]) }
            joining[slot, default: [:]][resource] = Joining(refs: [ref], isAgain: true)
            return askMembers(slot, resource)
        }
        guard let identity = registry.identity(slot) else { return }
        let waiting = joining[slot]?.values.count { !$0.isAgain } ?? 0
        guard rooms.memberships(of: slot) + waiting < Self.mostMemberships else {
            let detail = "A connection may be a member of \(Self.mostMemberships) resources: leave one first."
            throw MessageRefusal(.unavailable, detail, ref: ref)
        }
        joining[slot, default: [:]][resource] = Joining(refs: [ref])
        order(.permission(user: identity.user, resource: resource, stream(slot)))
    }

    func leave(_ slot: UInt32, _ resource: Identifier, _ ref: [UInt8]?) throws(MessageRefusal) {
        let wasJoining = joining[slot]?[resource] != nil
        failJoin(slot, resource, .unavailable, "The resource was left before it was joined.")
        guard rooms.leave(slot, resource) || wasJoining else {
            throw MessageRefusal(.notAMember, "The connection is no member of the resource.", ref: ref)
        }
        say(slot, ServerMessage.left(resource: resource, ref: ref))
    }

    /// Redis has said which role is stored.
    private func permissionRead(_ stream: StreamID, _ resource: Identifier, _ answer: Answer) {
        let slot = stream.slot
        guard isCurrent(stream), lives[Int(slot)].phase == .live, joining[slot]?[resource] != nil else { return }
        guard case .permission(let stored) = answer else {
            return failJoin(slot, resource, .unavailable, "The permission can't be read now: try again.")
        }
        if let stored {
            guard let grant = Grant(stored: Identifier(bytes: stored), roles: configuration.roles) else {
                return failJoin(slot, resource, .forbidden, "The stored permission is malformed.")
            }
            joining[slot]?[resource]?.grant = grant
        }
        goOnJoining(slot, resource)
    }

    /// The permission is known: it is held against what has come since, then the room's subscription is awaited, then who is in the room.
    func goOnJoining(_ slot: UInt32, _ resource: Identifier) {
        guard let waiting = joining[slot]?[resource], let identity = registry.identity(slot) else { return }
        // Until that is answered: an answer to an earlier question about the permission changes nothing.
        if case .asked = waiting.presence { return }
        if let membership = rooms.membership(slot, resource) {
            _ = takeJoining(slot, resource, isMember: true)
            return sayJoined(slot, resource, membership.role, waiting.refs, waiting.presence.members)
        }
        if waiting.isAgain {
            // The membership has ended since: this is another.
            joining[slot]?[resource] = Joining(refs: waiting.refs)
            return order(.permission(user: identity.user, resource: resource, stream(slot)))
        }
        let grant = PermissionBook.newer(waiting.grant, book.grant(identity.user, resource))
        guard let role = role(identity, on: resource, grant), role >= configuration.roles.viewer else {
            return failJoin(slot, resource, .forbidden, "Joining needs the role viewer.")
        }
        let isFresh = configuration.stepUp.admits(
            resource,
            authenticated: identity.authenticated,
            isMFAVerified: unverified.contains(slot) ? false : nil,
            now: wall,
            leeway: configuration.tokens.leeway
        )
        guard isFresh else { return failJoin(slot, resource, .forbidden, "The resource needs a fresh sign-in.") }
        guard roomLinks.stands(resource) else {
            // What comes before it stands again is not heard: a list of now would not be kept up.
            joining[slot]?[resource]?.presence = .unasked
            return wait(for: resource, .join(stream(slot)))
        }
        if presence != nil, waiting.presence == .unasked { return askMembers(slot, resource) }
        _ = takeJoining(slot, resource, isMember: true)
        rooms.join(slot, resource, role: role, version: grant?.version ?? 0)
        sayJoined(slot, resource, role, waiting.refs, waiting.presence.members)
    }

    /// Redis has lost its versions: what was read of it before is older than whatever comes.
    func resetWaitingVersions() {
        for (slot, waiting) in joining {
            for resource in waiting.keys { joining[slot]?[resource]?.grant?.resetVersion() }
        }
        for slot in lives.indices where lives[slot].phase == .asking { lives[slot].pending?.grant?.resetVersion() }
    }

    /// Ends the wait of a `join`: what Redis was told of one that does not become a member is taken back.
    private func takeJoining(_ slot: UInt32, _ resource: Identifier, isMember: Bool = false) -> Joining? {
        let waiting = joining[slot]?.removeValue(forKey: resource)
        if joining[slot]?.isEmpty == true { joining[slot] = nil }
        if let waiting, waiting.hasEntered, !waiting.isAgain, !isMember { giveUpRoom(slot, resource) }
        return waiting
    }

    /// The connection is over.
    func forgetJoins(_ slot: UInt32) {
        guard !joining.isEmpty, let waiting = joining[slot] else { return }
        for resource in waiting.keys { _ = takeJoining(slot, resource) }
    }

    private func failJoin(_ slot: UInt32, _ resource: Identifier, _ code: MessageRefusal.Code, _ detail: String) {
        for ref in takeJoining(slot, resource)?.refs ?? [] {
            say(slot, ServerMessage.error(MessageRefusal(code, detail, ref: ref)))
        }
    }

    private func sayJoined(
        _ slot: UInt32,
        _ resource: Identifier,
        _ role: Role,
        _ refs: [[UInt8]?],
        _ members: [Identifier]? = nil
    ) {
        let roles = configuration.roles
        for ref in refs where lives[Int(slot)].phase == .live {
            say(
                slot,
                ServerMessage.joined(resource: resource, role: role, members: members, roles: roles, ref: ref)
            )
        }
    }

    // MARK: - Subscriptions

    /// Asks the loop that holds the links.
    func order(_ order: RoomOrder) {
        if let uplink {
            uplink.obey(order, loop: index)
        } else {
            shared.mailboxes[0].post(.roomOrdered(order, loop: index))
        }
    }

    func wait(for resource: Identifier, _ waiter: RoomLinks.Waiter) {
        guard let serial = roomLinks.wait(for: resource, waiter) else { return }
        order(.want(resource, serial: serial))
    }

    func take(_ news: RoomNews) {
        switch news {
        case .stands(let resource, let serial):
            guard let stood = roomLinks.stood(resource, serial: serial) else { return }
            if stood.missed { deliver(.missed(resource)) }
            for waiter in stood.waiting { goOn(waiter, resource) }
            releaseRoom(resource)
        case .unavailable(let resource, let serial, let isFull):
            for waiter in roomLinks.failed(resource, serial: serial) { fail(waiter, resource, isFull: isFull) }
            releaseRoom(resource)
        case .lost:
            for (resource, waiting) in roomLinks.lost() {
                for waiter in waiting { fail(waiter, resource, isFull: false) }
                releaseRoom(resource)
            }
        case .permission(let stream, let resource, let answer): permissionRead(stream, resource, answer)
        case .members(let asker, let resource, let names): membersRead(asker, resource, names)
        }
    }

    private func goOn(_ waiter: RoomLinks.Waiter, _ resource: Identifier) {
        switch waiter {
        case .handshake(let stream): roomStood(stream)
        case .join(let stream):
            guard isCurrent(stream), lives[Int(stream.slot)].phase == .live else { return }
            goOnJoining(stream.slot, resource)
        }
    }

    /// A handshake goes on where it waited: with the stored grant that it read then, and what has come since.
    private func roomStood(_ stream: StreamID) {
        guard isCurrent(stream), lives[Int(stream.slot)].phase == .asking,
            let pending = lives[Int(stream.slot)].pending
        else { return }
        do throws(Refusal) {
            guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
            let bytes = pending.bytes
            try admit(stream, bytes.span, pending, grant: pending.grant)
        } catch {
            refuse(stream, error, pending)
        }
    }

    private func fail(_ waiter: RoomLinks.Waiter, _ resource: Identifier, isFull: Bool) {
        switch waiter {
        case .handshake(let stream):
            let refusal =
                isFull
                ? Refusal(.atCapacity, "the gate has as many rooms as it may have")
                : Refusal(.storeUnavailable, "the room's channel can't be subscribed to")
            refuse(stream, refusal)
        case .join(let stream):
            guard isCurrent(stream), lives[Int(stream.slot)].phase == .live else { return }
            let detail = "The room can't be heard now: try again."
            failJoin(stream.slot, resource, .unavailable, detail)
        }
    }

    /// With the end of a turn: rooms without members are not heard any more.
    func releaseRooms() {
        for resource in rooms.takeEmptied() { releaseRoom(resource) }
    }

    func releaseRoom(_ resource: Identifier) {
        guard !rooms.hasMembers(resource), presence?.trails.isAwaited(resource) != true,
            roomLinks.release(resource)
        else { return }
        order(.release(resource))
    }
}

/// A `join` that waits: for the stored permission, then for the room, then for who is in it.
struct Joining {
    /// Who is in the room (`resources.presence`).
    enum Presence: Equatable {
        case unasked
        /// The serial of the question.
        case asked(UInt64)
        /// nil: it can't be known now.
        case told([Identifier]?)

        var members: [Identifier]? {
            if case .told(let members) = self { members } else { nil }
        }
    }

    /// What is to be echoed, once for each `join`.
    var refs: [[UInt8]?]
    /// Whether the connection was a member already, and asks who is there.
    var isAgain = false
    var grant: Grant?
    var presence = Presence.unasked
    /// Whether Redis was told that the connection is in the room.
    var hasEntered = false
}

extension Grant {
    fileprivate mutating func resetVersion() {
        self = Grant(version: 0, role: role)
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisWire

/// `resources.presence`: a connection that is in a room has an entry in Redis, and the room is told when a user comes or goes.

/// A change in Redis of who is in a room. May be repeated.
struct PresenceChange: Sendable {
    enum Kind: Sendable, Equatable {
        /// - Parameter quietly: the others know it: Redis alone has lost it.
        case entered(quietly: Bool)
        case left
    }

    /// Who waits for the list of the room.
    struct Asker: Sendable {
        let stream: StreamID
        let loop: Int
        /// Tells this question from another of the same connection.
        let serial: UInt64
        /// From where on the news that came meanwhile count (``PresenceTrails``).
        let place: Int
    }

    let kind: Kind
    let resource: Identifier
    let user: Identifier
    let connection: ConnectionID
    var asker: Asker?
}

/// What a loop keeps for it; nothing where it is off.
struct LoopPresence {
    var trails = PresenceTrails()
    var serial: UInt64 = 0
    /// The slot from which on all that are in rooms are entered again; nil: none are.
    var entersFrom: Int?
    var entersQuietly = true
}

extension GateLoop {
    private static let enteredPerTurn = 256

    /// A connection is in a room from here on. What it left before is told before.
    func enterRoom(_ slot: UInt32, _ resource: Identifier, quietly: Bool = false) {
        change(slot, resource, .entered(quietly: quietly))
    }

    /// The same of one that waits for the list; ``membersRead(_:_:_:)`` follows, whatever becomes of it.
    func askMembers(_ slot: UInt32, _ resource: Identifier) {
        presence?.serial &+= 1
        guard let serial = presence?.serial, let place = presence?.trails.begin(resource) else { return }
        joining[slot]?[resource]?.presence = .asked(serial)
        joining[slot]?[resource]?.hasEntered = true
        let asker = PresenceChange.Asker(stream: stream(slot), loop: index, serial: serial, place: place)
        change(slot, resource, .entered(quietly: false), asker)
    }

    /// A connection that was about to be in a room is not.
    func giveUpRoom(_ slot: UInt32, _ resource: Identifier) {
        change(slot, resource, .left)
    }

    /// Tells of the memberships that have ended, however they did. Before another connection gets a slot, and before anything else is told
    /// of the same connection, so that all changes of one are in order.
    func tellEndings() {
        guard presence != nil else { return }
        for ending in rooms.takeEndings() { tell(ending.slot, ending.resource, .left, nil) }
    }

    private func change(
        _ slot: UInt32,
        _ resource: Identifier,
        _ kind: PresenceChange.Kind,
        _ asker: PresenceChange.Asker? = nil
    ) {
        guard presence != nil else { return }
        tellEndings()
        tell(slot, resource, kind, asker)
    }

    private func tell(
        _ slot: UInt32,
        _ resource: Identifier,
        _ kind: PresenceChange.Kind,
        _ asker: PresenceChange.Asker?
    ) {
        // Whoever is in a room, or was a moment ago, is registered.
        guard let identity = registry.identity(slot) else { return }
        order(
            .presence(
                PresenceChange(
                    kind: kind,
                    resource: resource,
                    user: identity.user,
                    connection: connectionID(slot),
                    asker: asker
                )
            )
        )
    }

    // MARK: - What comes

    /// Who comes and who goes, for the lists that are waited for.
    func notePresence(_ relayed: Relayed) {
        guard presence != nil else { return }
        if relayed.content == .missed {
            presence?.trails.lose(relayed.resource)
        } else if relayed.content.isPresence, let user = relayed.user {
            presence?.trails.note(relayed.resource, user, isPresent: relayed.content == .joined)
        }
    }

    /// Redis has said who is in the room, or can't be asked: whoever waited for it goes on.
    func membersRead(_ asker: PresenceChange.Asker, _ resource: Identifier, _ names: [Identifier]?) {
        let most = PresenceScript.mostNames
        let members = presence?.trails.end(resource, since: asker.place, names, most: most)
        let slot = asker.stream.slot
        if isCurrent(asker.stream), lives[Int(slot)].phase == .live,
            joining[slot]?[resource]?.presence == .asked(asker.serial)
        {
            joining[slot]?[resource]?.presence = .told(members)
            goOnJoining(slot, resource)
        }
        // Whoever it was heard for may be gone.
        releaseRoom(resource)
    }

    // MARK: - Entered again

    /// Redis has lost who is in the rooms of this gate, or others may have taken it for gone.
    func enterAgain(quietly: Bool) {
        guard let wasQuiet = presence.map({ $0.entersFrom == nil || $0.entersQuietly }) else { return }
        presence?.entersQuietly = quietly && wasQuiet
        presence?.entersFrom = 0
    }

    /// A slice a turn.
    func enterSlice() {
        guard let from = presence?.entersFrom, let quietly = presence?.entersQuietly else { return }
        var count = 0
        for slot in from..<max(from, lives.count) where lives[slot].phase == .live {
            guard count < Self.enteredPerTurn else {
                presence?.entersFrom = slot
                return
            }
            var resources: [Identifier] = []
            rooms.forEachMembership(of: UInt32(slot)) { resource, _ in resources.append(resource) }
            for resource in resources { enterRoom(UInt32(slot), resource, quietly: quietly) }
            count += resources.count
        }
        presence?.entersFrom = nil
    }
}

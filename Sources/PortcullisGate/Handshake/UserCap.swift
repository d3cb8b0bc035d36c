import PortcullisCore
import PortcullisReactor
public import PortcullisRedis
import PortcullisWire

/// `limits.connections_per_user`, over all gates: a handshake that is through takes a place in Redis before it is admitted, and the
/// connection gives it back when its socket is gone.
public struct UserCap: Equatable, Sendable {
    /// How many connections a user may have; 0: as many as they like.
    public var connections: Int
    public var policy: AdmissionScript.Policy

    public init(connections: Int = 0, policy: AdmissionScript.Policy = .refuse) {
        self.connections = connections
        self.policy = policy
    }
}

/// A change in Redis of the places that this gate's connections hold.
struct PlaceChange: Sendable {
    enum Kind: Sendable {
        /// It is live and may be missing.
        case restored
        case released
    }

    let kind: Kind
    let user: Identifier
    let connection: ConnectionID
}

extension GateLoop {
    private static let restoredPerTurn = 256

    /// The last step of a handshake: a place where users may have only so many connections, then the admission.
    func takePlace(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        grant: Grant?
    ) throws(Refusal) {
        let cap = configuration.userCap
        guard cap.connections > 0, let identity = pending.identity else {
            return try admit(stream, bytes, pending, grant: grant)
        }
        // Before the place is asked for: nobody's oldest connection gives way to a handshake that is then refused.
        if let request = pending.request { _ = try checkResource(request, identity, pending, grant) }
        pending.grant = grant
        wait(stream, bytes, pending)
        // Whatever becomes of the question, the place is given back: behind it, and where it never was given that changes nothing.
        lives[Int(stream.slot)].holdsPlace = true
        ask(.place(user: identity.user, connectionID(stream.slot), cap), stream)
    }

    /// Redis has given the place that a handshake waited for, or has none.
    func placeAnswered(
        _ stream: StreamID,
        _ pending: PendingHandshake,
        _ answer: AdmissionScript.Answer
    ) throws(Refusal) {
        guard answer == .admitted else {
            throw Refusal(.tooManyConnections, "limits.connections_per_user is reached")
        }
        let bytes = pending.bytes
        try admit(stream, bytes.span, pending, grant: pending.grant)
    }

    /// The connection is gone: its place is free. The user is known as long as it is registered.
    func givePlaceBack(_ slot: UInt32, _ identity: Identity) {
        guard lives[Int(slot)].holdsPlace else { return }
        lives[Int(slot)].holdsPlace = false
        change(.init(kind: .released, user: identity.user, connection: connectionID(slot)))
    }

    private func change(_ change: PlaceChange) {
        if let uplink { uplink.placeChanges.append(change) } else { shared.mailboxes[0].post(.placeChanged(change)) }
    }

    /// A newer connection of the user took the place of this one, also where that is not live yet.
    func replaced(_ connection: ConnectionID) {
        let slot = UInt32(truncatingIfNeeded: connection.serial & 0xFFFFFF)
        guard Int(slot) < lives.count, lives[Int(slot)].phase != .vacant, connectionID(slot) == connection else {
            return
        }
        switch lives[Int(slot)].phase {
        case .live: condemn(slot, Closing(.replaced))
        case .asking: refuse(stream(slot), Refusal(.replaced, "a newer connection of the user took the place"))
        case .vacant, .head, .authenticating, .verifying, .closing: break
        }
    }

    /// Redis may have lost the places of those who are live, or they were never taken, or one was taken away while the gate did not hear:
    /// they are taken again, a slice a turn.
    func takePlacesAgain() {
        if configuration.userCap.connections > 0 { restoresPlacesFrom = 0 }
    }

    /// While the gate was deaf it may have been told that a connection was replaced.
    func hearsAgain() {
        if configuration.userCap.policy == .replace { takePlacesAgain() }
    }

    func restorePlaces() {
        guard let from = restoresPlacesFrom else { return }
        var count = 0
        for slot in from..<max(from, lives.count) where lives[slot].phase == .live {
            guard count < Self.restoredPerTurn else {
                restoresPlacesFrom = slot
                return
            }
            guard let identity = registry.identity(UInt32(slot)) else { continue }
            lives[slot].holdsPlace = true
            change(.init(kind: .restored, user: identity.user, connection: connectionID(UInt32(slot))))
            count += 1
        }
        restoresPlacesFrom = nil
    }
}

extension Uplink {
    private static let changesPerTurn = 512

    private var place: AdmissionScript.Gate {
        AdmissionScript.Gate(node: configuration.node, instance: shared.instance, lease: configuration.lease)
    }

    func askPlace(_ user: Identifier, _ connection: ConnectionID, _ cap: UserCap, _ stream: StreamID, loop: Int) {
        let command = AdmissionScript.admit(
            user,
            connection,
            cap: cap.connections,
            policy: cap.policy,
            of: place,
            longest: longestPlace,
            keys: keys
        )
        pending.append(command, .place(stream, loop: loop))
    }

    /// No credential lives longer.
    private var longestPlace: Milliseconds {
        max(configuration.appendPolicy.longestSession, configuration.appendPolicy.longestToken)
    }

    /// A change is made. Who could not take a place again has been replaced.
    func placeChanged(_ change: PlaceChange, _ value: RESPValue) {
        if change.kind == .restored, AdmissionScript.Answer(value) == .full {
            shared.tellAll(.replaced(change.connection))
        }
    }

    func placeRead(_ value: RESPValue) -> Answer {
        AdmissionScript.Answer(value).map { .place($0) } ?? unfit(value)
    }

    /// Whether others look for this gate's lease: places count as long as it lives, and so does who is in a room.
    private var holdsLease: Bool {
        loop.configuration.userCap.connections > 0 || configuration.presence
    }

    /// Once a heartbeat.
    func renewPlaces() {
        if holdsLease {
            pending.append(AdmissionScript.renew(place, keys: keys), .nothing)
        }
    }

    /// Writes what has changed, in order, with all else of the turn. What can't be written now, or is never answered, is written later:
    /// both kinds may be repeated.
    func writePlaceChanges() {
        guard command.machine.isReady, !placeChanges.isEmpty else { return }
        let cap = loop.configuration.userCap
        // Without a cap nobody is in anybody's place.
        let policy = cap.connections > 0 ? cap.policy : .refuse
        let slice = placeChanges.prefix(Self.changesPerTurn)
        // A place without the lease would be taken away at once.
        if slice.contains(where: { $0.kind == .restored }) {
            pending.append(AdmissionScript.renew(place, keys: keys), .nothing)
        }
        for change in slice {
            let command =
                switch change.kind {
                case .released: AdmissionScript.release(change.user, change.connection, of: place, keys: keys)
                case .restored:
                    AdmissionScript.restore(
                        change.user,
                        change.connection,
                        admitted: shared.redisTime(),
                        cap: cap.connections,
                        policy: policy,
                        of: place,
                        longest: longestPlace,
                        keys: keys
                    )
                }
            pending.append(command, .placeChange(change))
        }
        placeChanges.removeFirst(slice.count)
    }

    /// The gate ends in order.
    func giveAllPlacesBack() {
        if holdsLease {
            pending.append(AdmissionScript.end(place, keys: keys), .nothing)
        }
    }
}

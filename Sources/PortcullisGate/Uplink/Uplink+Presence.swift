import PortcullisCore
import PortcullisReactor
import PortcullisRedis

/// Changes of who is in which room, on their way to Redis.
struct PresenceDesk {
    /// In order, all of the gate. Bounded by the memberships that there are: while Redis is away nobody joins, and each ends once.
    var queue = Backlog<PresenceChange>()
    /// How many of them Redis has not answered yet.
    var asked = 0
    /// Rooms that are looked after before those that are wanted by then are taken anew.
    var toPrune: [Identifier] = []
    /// Whether it was told on this link that Redis refuses them.
    var hasToldOfError = false

    /// Changes that are asked at once: what is asked behind them, the log above all, does not wait long.
    static let mostAsked = 256
    /// Rooms that are looked after in one heartbeat.
    static let prunedPerHeartbeat = 256
}

extension Uplink {
    private var gate: AdmissionScript.Gate {
        AdmissionScript.Gate(node: configuration.node, instance: shared.instance, lease: configuration.lease)
    }

    func changePresence(_ change: PresenceChange) {
        presence.queue.append(command.machine.isReady ? change : withoutAsker(change))
        writePresence()
    }

    /// Writes what has changed, in order. What can't be written now, or is never answered, is written later.
    /// - Parameter all: however many are unanswered: the gate ends.
    func writePresence(all: Bool = false) {
        guard command.machine.isReady else { return }
        while all || presence.asked < PresenceDesk.mostAsked, let change = presence.queue.popFirst() {
            let room = PresenceScript.Room(change.resource, at: machine.newestKnown)
            let command =
                switch change.kind {
                case .entered(let quietly):
                    PresenceScript.enter(
                        room,
                        change.user,
                        change.connection,
                        names: change.asker == nil ? 0 : PresenceScript.mostNames,
                        quietly: quietly,
                        of: gate,
                        keys: keys
                    )
                case .left: PresenceScript.leave(room, change.user, change.connection, of: gate, keys: keys)
                }
            presence.asked += 1
            pending.append(command, .presence(change))
        }
    }

    func presenceAnswered(_ change: PresenceChange, _ value: RESPValue) {
        presence.asked -= 1
        if let error = value.errorText, !presence.hasToldOfError {
            presence.hasToldOfError = true
            shared.report(.presenceNotKept(String(error.prefix(80))))
        }
        let names = PresenceScript.names(value)
        if change.asker != nil { tellMembers(change, names) }
        // An error concerns the one room; an answer that does not fit its question, the whole link.
        if case .entered = change.kind, names == nil, value.errorText == nil { _ = unfit(value) }
        writePresence()
    }

    private func tellMembers(_ change: PresenceChange, _ names: [Identifier]?) {
        guard let asker = change.asker else { return }
        tell(asker.loop, .roomNews(.members(asker, change.resource, names)))
    }

    /// Whoever waits for the list goes on without it.
    private func withoutAsker(_ change: PresenceChange) -> PresenceChange {
        tellMembers(change, nil)
        var change = change
        change.asker = nil
        return change
    }

    /// The link was lost: what was never answered comes again, in front of what was not asked yet.
    func abandonPresence(_ abandoned: [PresenceChange]) {
        var queue = Backlog<PresenceChange>()
        for change in abandoned { queue.append(withoutAsker(change)) }
        while let change = presence.queue.popFirst() { queue.append(withoutAsker(change)) }
        presence.queue = queue
        presence.asked = 0
        presence.hasToldOfError = false
    }

    /// Once a heartbeat: what gates have left that are gone is cleared away, in some of the rooms that are heard here.
    func prunePresence() {
        guard configuration.presence else { return }
        if presence.toPrune.isEmpty { presence.toPrune = rooms.interest.resources }
        for resource in presence.toPrune.suffix(PresenceDesk.prunedPerHeartbeat) {
            let room = PresenceScript.Room(resource, at: machine.newestKnown)
            pending.append(PresenceScript.prune(room, of: gate, keys: keys), .nothing)
        }
        presence.toPrune.removeLast(min(PresenceDesk.prunedPerHeartbeat, presence.toPrune.count))
    }
}

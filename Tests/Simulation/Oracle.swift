import PortcullisCore

/// Knows what was decided and when, sees every byte that passes, and says which promise of guarantee.md was broken.
final class Oracle {
    enum Reason {
        case decided(Identifier)
        case expired
        case freezeLimit
    }

    private final class Entry {
        enum Effect {
            /// Closes and refuses credentials that were issued up to then; nil: all.
            case revoke(upTo: WallTime?)
            case block
            case unblock
        }

        var logged: LoggedEvent
        private(set) var effect: Effect
        /// By gate: up to where an event that was only published reaches there, until the gate knows its order.
        var guesses: [Int: (upTo: Int64, until: Int64)] = [:]
        /// Whether it was only published, and is to be adopted.
        var isBare = false
        /// The user or the token that it names.
        let name: Identifier
        /// When Redis had it for good: the acknowledgement, or, where Redis lost it, when it was put back. `.max`: lost.
        var since: Int64
        /// The first `unblock` that ends a block, and for an `unblock` a later one of the same user.
        var endedBy: Entry?

        init?(_ logged: LoggedEvent, since: Int64) {
            switch logged.event.decision {
            case .revoke(let revocation):
                let upTo = revocation.issuedBefore == .never ? nil : WallTime(milliseconds: logged.order)
                effect = .revoke(upTo: upTo)
                name = revocation.select.ids.values.first ?? ""
            case .block(let select, _, _):
                effect = .block
                name = select.ids.values.first ?? ""
            case .unblock(let select):
                effect = .unblock
                name = select.ids.values.first ?? ""
            default: return nil
            }
            self.logged = logged
            self.since = since
        }

        /// The log has it, with this order.
        func ordered(_ order: Int64) {
            logged = LoggedEvent(key: logged.key, order: order, event: logged.event)
            if case .revoke(.some) = effect { effect = .revoke(upTo: WallTime(milliseconds: order)) }
        }

        /// Whether it reaches a credential at a gate that may still guess its order.
        func mayCover(_ identity: Identity, _ presented: WallTime, _ gate: SimGate) -> Bool {
            if covers(identity, presented) { return true }
            guard let guess = guesses[gate.number], guess.until >= gate.world.now else { return false }
            return identity.wasIssued(upTo: WallTime(milliseconds: guess.upTo), presented: presented)
        }

        func covers(_ identity: Identity, _ presented: WallTime) -> Bool {
            switch effect {
            case .revoke(let upTo): identity.wasIssued(upTo: upTo, presented: presented)
            case .block: true
            case .unblock: false
            }
        }
    }

    unowned let world: World
    private var entries: [Entry] = []
    private var known: [Identifier: Entry] = [:]
    /// The decisions that name a user or a token.
    private var naming: [Identifier: [Entry]] = [:]
    /// By gate: what its present process has not learnt yet.
    private var unlearnt: [[Entry]] = []
    /// By gate: what its present process has learnt.
    private var learnt: [[Identifier: Int64]] = []
    /// By gate: the events that its present process has heard and that were only published.
    private var heardBare: [Set<Identifier>] = []
    private(set) var violation: String?
    private(set) var passes = 0
    private(set) var admissions = 0
    private(set) var closes = 0

    init(_ world: World, gates: Int) {
        self.world = world
        learnt = Array(repeating: [:], count: gates)
        unlearnt = Array(repeating: [], count: gates)
        heardBare = Array(repeating: [], count: gates)
    }

    private func violated(_ sentence: @autoclosure () -> String) {
        if violation == nil { violation = "at \(world.now) ms: \(sentence())" }
    }

    // MARK: - Decisions

    func appended(_ logged: LoggedEvent, given: Int64?) {
        world.tell("appended \(logged.event.decision.type) \(logged.key) with o \(logged.order)")
        if let entry = known[logged.key] {
            if given == nil, entry.since != .max { violated("adopted twice: \(name(entry))") }
            if entry.isBare, entry.since == .max { adopted(entry, logged.order) }
            // A copy: it came back. What counts is the order that it had.
            if entry.since == .max { entry.since = world.now }
            return
        }
        guard let entry = Entry(logged, since: world.now) else { return }
        if case .unblock = entry.effect {
            for earlier in naming[entry.name] ?? [] where earlier.endedBy == nil {
                if case .revoke = earlier.effect { continue }
                if earlier.logged.order <= logged.order { earlier.endedBy = entry }
            }
        }
        known[logged.key] = entry
        entries.append(entry)
        naming[entry.name, default: []].append(entry)
        for gate in unlearnt.indices { unlearnt[gate].append(entry) }
    }

    /// An event is only published: the log does not hold it yet.
    func published(_ logged: LoggedEvent) {
        guard let entry = Entry(logged, since: .max) else { return }
        entry.isBare = true
        known[logged.key] = entry
        entries.append(entry)
        naming[entry.name, default: []].append(entry)
        for gate in unlearnt.indices { unlearnt[gate].append(entry) }
    }

    /// A gate enforces what was only published, under an order that it guesses.
    func guessed(_ gate: SimGate, _ key: Identifier, _ order: Int64) {
        known[key]?.guesses[gate.number] = (order, .max)
        heardBare[gate.number].insert(key)
        learnt(gate, key)
    }

    /// A gate knows the order in the log of what it had guessed; what it said to its loops before is on its way.
    func replacedGuess(_ gate: SimGate, _ key: Identifier) {
        guard let guess = known[key]?.guesses[gate.number], guess.until == .max else { return }
        known[key]?.guesses[gate.number]?.until = world.now + 10
    }

    private func adopted(_ entry: Entry, _ order: Int64) {
        guard entry.logged.order != order else { return }
        entry.ordered(order)
        // What was learnt was another order.
        for gate in learnt.indices where learnt[gate].removeValue(forKey: entry.logged.key) != nil {
            unlearnt[gate].append(entry)
        }
    }

    /// The decisions against somebody.
    private func against(_ identity: Identity, _ presented: WallTime) -> [Entry] {
        naming(identity).filter { $0.covers(identity, presented) }
    }

    /// The decisions that a gate may hold to be against somebody.
    private func mayBeAgainst(_ identity: Identity, _ presented: WallTime, _ gate: SimGate) -> [Entry] {
        naming(identity).filter { $0.mayCover(identity, presented, gate) }
    }

    private func naming(_ identity: Identity) -> [Entry] {
        (naming[identity.user] ?? []) + (identity[.token].flatMap { naming[$0] } ?? [])
    }

    /// Redis' data was replaced by other data.
    func replaced() {
        for entry in entries where !world.primary.has(entry.logged.key) {
            world.tell("lost \(entry.logged.key)")
            entry.since = .max
        }
    }

    func learnt(_ gate: SimGate, _ key: Identifier) {
        if learnt[gate.number][key] == nil { learnt[gate.number][key] = world.now }
    }

    func forgot(_ gate: SimGate) {
        learnt[gate.number] = [:]
        heardBare[gate.number] = []
        for entry in entries where entry.isBare { entry.guesses[gate.number] = nil }
        unlearnt[gate.number] = entries
    }

    /// A decision that was ended may still be acted on by who cannot know it yet.
    private func mayStillCount(_ entry: Entry, _ gate: SimGate) -> Bool {
        guard let ending = entry.endedBy else { return true }
        // Whoever is not confirmed does what it learns in the order in which it learns it.
        if world.now > gate.confirmedAt.addingClamped(World.lease) { return true }
        // What was decided one behind the other may be learnt in one turn, and done one behind the other.
        if let at = learnt[gate.number][ending.logged.key] { return world.now <= at + 10 }
        return ending.since == .max || world.now <= bound(ending, gate)
    }

    private func bound(_ entry: Entry, _ gate: SimGate) -> Int64 {
        // A failover that leaves the old primary alive: it is found out by the next write that is refused.
        if let command = gate.command, command.server.isDemoted { gate.followedDemoted = world.now }
        let lag = world.now - gate.followedDemoted < 2 * World.lease ? World.demotionLag : 0
        return entry.since == .max ? .max : entry.since + World.lease + World.slack + lag
    }

    // MARK: - What happens

    func passed(_ gate: SimGate, _ connection: SimLoop.Connection) {
        passes += 1
        if world.now > gate.confirmedAt.addingClamped(World.lease + World.slack) {
            violated("G4: gate \(gate.number) passed a byte, but was last confirmed at \(gate.confirmedAt)")
        }
        if gate.boot.nanoseconds / 1_000_000 > connection.ends.addingClamped(World.slack) {
            violated("G5: gate \(gate.number) passed a byte of an expired connection")
        }
        for entry in against(connection.identity, connection.presented) {
            if entry.endedBy == nil, world.now > bound(entry, gate) {
                violated("G2: gate \(gate.number) passed a byte in spite of \(name(entry))")
            }
        }
    }

    func admitted(_ gate: SimGate, _ connection: SimLoop.Connection) {
        admissions += 1
        if !gate.hasAcknowledged {
            violated("G3: gate \(gate.number) admitted before its subscription was acknowledged")
        }
        for entry in against(connection.identity, connection.presented) where entry.endedBy == nil {
            if learnt[gate.number][entry.logged.key] != nil {
                violated("G3: gate \(gate.number) admitted in spite of \(name(entry)), which it had learnt")
            } else if world.now > bound(entry, gate) {
                violated("G7: gate \(gate.number) admitted in spite of \(name(entry))")
            }
        }
    }

    func refused(
        _ gate: SimGate,
        _ identity: Identity,
        _ presented: WallTime,
        _ verdict: StandingDecisions.Verdict
    ) {
        let isRight = mayBeAgainst(identity, presented, gate).contains { mayStillCount($0, gate) }
        if !isRight { violated("G6: gate \(gate.number) refused \(identity.user) as \(verdict) without reason") }
    }

    func closed(_ gate: SimGate, _ connection: SimLoop.Connection, _ reason: Reason) {
        closes += 1
        switch reason {
        case .expired: break
        case .freezeLimit:
            if world.now < gate.confirmedAt.addingClamped(World.lease + World.freezeLimit) {
                violated("G4: gate \(gate.number) closed somebody before the freeze had lasted too long")
            }
        case .decided(let key):
            guard let entry = known[key] else {
                return violated("G7: gate \(gate.number) kicked somebody for \(key), which no log holds")
            }
            let matches = mayBeAgainst(connection.identity, connection.presented, gate).contains { $0 === entry }
            if !matches || !mayStillCount(entry, gate) {
                violated("G6: gate \(gate.number) closed \(connection.identity.user) for \(name(entry)) without reason")
            }
        }
    }

    private func name(_ entry: Entry) -> String {
        "\(entry.logged.event.decision.type) \(entry.logged.key) of \(entry.since)"
    }

    // MARK: - From time to time

    /// A gate that says that it hears, and with which nothing has gone wrong since, hears.
    func listen(to gate: SimGate) {
        guard gate.isAlive, !gate.isPaused, gate.machine.hears, gate.lastFault + World.promptly < gate.provedAt,
            gate.slowUntil + World.promptly < world.now, gate.subscription?.server === world.primary
        else { return }
        unlearnt[gate.number].removeAll { learnt[gate.number][$0.logged.key] != nil }
        for entry in unlearnt[gate.number] {
            if entry.since != .max, entry.since + World.promptly < world.now {
                violated("G1: gate \(gate.number) says that it hears, but has not heard \(name(entry))")
            }
        }
    }

    /// Long after the last fault everything is as it should be.
    func judgeTheEnd() {
        for gate in world.gates {
            if !gate.machine.hears || gate.loops.contains(where: { !$0.lease.mayAdmit(at: gate.boot) }) {
                violated("gate \(gate.number) does not recover")
            }
            if gate.lastFullReading > max(World.ends - World.lease / 2, gate.lastFault + World.lease) {
                violated("gate \(gate.number) reads everything again and again")
            }
            for key in heardBare[gate.number] where !world.primary.has(key) {
                violated("gate \(gate.number) heard \(key), which no log ever took")
            }
            for entry in entries where learnt[gate.number][entry.logged.key] != nil {
                if entry.endedBy == nil, !world.primary.has(entry.logged.key) {
                    violated("G7: gate \(gate.number) holds \(name(entry)), which is not put back")
                }
            }
            for entry in entries where entry.endedBy == nil && world.primary.has(entry.logged.key) {
                if learnt[gate.number][entry.logged.key] == nil {
                    violated("G2: gate \(gate.number) never learnt \(name(entry))")
                }
                for loop in gate.loops {
                    for connection in loop.connections.values
                    where connection.isLive
                        && against(connection.identity, connection.presented).contains(where: { $0 === entry })
                    {
                        violated("G2: gate \(gate.number) still holds a connection in spite of \(name(entry))")
                    }
                }
            }
        }
    }
}

import PortcullisCore

/// Knows what was decided and when, sees every byte that passes, and says which promise of guarantee.md was broken.
final class Oracle {
    enum Reason {
        case decided(Identifier)
        case expired
        case freezeLimit
    }

    private struct Entry {
        let logged: LoggedEvent
        /// When Redis had it for good: the acknowledgement, or, where Redis lost it, when it was put back. `.max`: lost.
        var since: Int64
    }

    unowned let world: World
    private var entries: [Entry] = []
    private var numbers: [Identifier: Int] = [:]
    /// By gate: what its present process has learnt.
    private var learnt: [[Identifier: Int64]] = []
    private(set) var violation: String?
    private(set) var passes = 0
    private(set) var admissions = 0
    private(set) var closes = 0

    init(_ world: World, gates: Int) {
        self.world = world
        learnt = Array(repeating: [:], count: gates)
    }

    private func violated(_ sentence: @autoclosure () -> String) {
        if violation == nil { violation = "at \(world.now) ms: \(sentence())" }
    }

    // MARK: - Decisions

    func appended(_ logged: LoggedEvent, given: Int64?) {
        world.tell("appended \(logged.event.decision.type) \(logged.key) with o \(logged.order)")
        if let number = numbers[logged.key] {
            // A copy: it came back. What counts is the order that it had.
            if entries[number].since == .max { entries[number].since = world.now }
            return
        }
        numbers[logged.key] = entries.count
        entries.append(Entry(logged: logged, since: world.now))
    }

    /// Redis' data was replaced by other data.
    func replaced() {
        for number in entries.indices where !world.primary.has(entries[number].logged.key) {
            world.tell("lost \(entries[number].logged.key)")
            entries[number].since = .max
        }
    }

    func learnt(_ gate: SimGate, _ key: Identifier) {
        if learnt[gate.number][key] == nil { learnt[gate.number][key] = world.now }
    }

    func forgot(_ gate: SimGate) {
        learnt[gate.number] = [:]
    }

    /// The `unblock` that ends a block, if there is one.
    private func ending(_ entry: Entry) -> Entry? {
        guard case .block(let select, _, _) = entry.logged.event.decision else { return nil }
        return entries.first { other in
            guard case .unblock(select) = other.logged.event.decision else { return false }
            return other.logged.order >= entry.logged.order
        }
    }

    /// Of the ends of one block the last is enough.
    private func isSuperseded(_ entry: Entry) -> Bool {
        guard case .unblock(let select) = entry.logged.event.decision else { return false }
        return entries.contains { $0.logged.event.decision == .unblock(select) && $0.logged.order > entry.logged.order }
    }

    private func covers(_ entry: Entry, _ identity: Identity, _ presented: WallTime) -> Bool {
        switch entry.logged.event.decision {
        case .revoke(let revocation):
            guard revocation.select.matches(identity, from: nil) else { return false }
            let appended = WallTime(milliseconds: entry.logged.order)
            return revocation.issuedBefore == .never || identity.wasIssued(upTo: appended, presented: presented)
        case .block(let select, _, _): return select.matches(identity, from: nil)
        default: return false
        }
    }

    /// A decision that was ended may still be acted on by who cannot know it yet.
    private func mayStillCount(_ entry: Entry, _ gate: SimGate) -> Bool {
        guard let ending = ending(entry) else { return true }
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
        for entry in entries where covers(entry, connection.identity, connection.presented) {
            if ending(entry) == nil, world.now > bound(entry, gate) {
                violated("G2: gate \(gate.number) passed a byte in spite of \(name(entry))")
            }
        }
    }

    func admitted(_ gate: SimGate, _ connection: SimLoop.Connection) {
        admissions += 1
        for entry in entries where covers(entry, connection.identity, connection.presented) && ending(entry) == nil {
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
        let isRight = entries.contains { covers($0, identity, presented) && mayStillCount($0, gate) }
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
            guard let number = numbers[key] else {
                return violated("G7: gate \(gate.number) kicked somebody for \(key), which no log holds")
            }
            let entry = entries[number]
            if !covers(entry, connection.identity, connection.presented) || !mayStillCount(entry, gate) {
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
        for entry in entries where entry.since != .max && entry.since + World.promptly < world.now {
            if learnt[gate.number][entry.logged.key] == nil {
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
            for entry in entries where learnt[gate.number][entry.logged.key] != nil {
                if ending(entry) == nil, !isSuperseded(entry), !world.primary.has(entry.logged.key) {
                    violated("G7: gate \(gate.number) holds \(name(entry)), which is not put back")
                }
            }
            for entry in entries where ending(entry) == nil && world.primary.has(entry.logged.key) {
                if learnt[gate.number][entry.logged.key] == nil {
                    violated("G2: gate \(gate.number) never learnt \(name(entry))")
                }
                for loop in gate.loops {
                    for connection in loop.connections.values
                    where connection.isLive && covers(entry, connection.identity, connection.presented) {
                        violated("G2: gate \(gate.number) still holds a connection in spite of \(name(entry))")
                    }
                }
            }
        }
    }
}

import PortcullisCore
import PortcullisReactor

/// The care of sessions that are held: each is read again within `sessions.sweep`, and renewed while it is in use.
extension GateLoop {
    /// Looks at as many slots as are due: all of them once in a sweep, spread evenly. A deaf gate hears of no change, and reads each within
    /// the lease.
    func careForSessions() {
        guard let policy = configuration.sessions, !lives.isEmpty else { return }
        let elapsed = now.since(sessionCare.last)
        guard elapsed >= SessionCare.step else { return }
        sessionCare.last = now
        if policy.touches { touchUsed(policy) }
        let period = max(1, (lease.isDeaf ? min(policy.sweep, configuration.lease) : policy.sweep).count)
        sessionCare.credit += Double(lives.count) * Double(elapsed.count) / Double(period)
        let steps = min(lives.count, Int(min(sessionCare.credit, 1e9)))
        sessionCare.credit -= Double(steps)
        for _ in 0..<steps {
            sessionCare.cursor = (sessionCare.cursor + 1) % lives.count
            readAgain(UInt32(sessionCare.cursor), policy)
        }
        // What could not be done in one round is not owed twice.
        sessionCare.credit = min(sessionCare.credit, Double(lives.count))
    }

    private func readAgain(_ slot: UInt32, _ policy: SessionPolicy) {
        guard lives[Int(slot)].phase == .live, let identity = registry.identity(slot), identity.kind == .session,
            let id = identity[.session]
        else { return }
        if policy.touches, lives[Int(slot)].wasUsed {
            lives[Int(slot)].wasUsed = false
            touch(id, least: nil)
        }
        if let uplink { uplink.readSession(id) } else { shared.mailboxes[0].post(.readSession(id)) }
    }

    /// A message came on a live connection.
    func sessionUsed(_ slot: UInt32) {
        guard !lives[Int(slot)].wasUsed, registry.identity(slot)?.kind == .session else { return }
        lives[Int(slot)].wasUsed = true
        sessionCare.used.append(stream(slot))
    }

    /// Most sessions are renewed when the sweep comes to them; those that would end before are renewed with the next second.
    private func touchUsed(_ policy: SessionPolicy) {
        guard now >= sessionCare.nextTouch else { return }
        sessionCare.nextTouch = now + Milliseconds(1000)
        for stream in sessionCare.used {
            let slot = Int(stream.slot)
            guard isCurrent(stream), lives[slot].phase == .live, lives[slot].wasUsed,
                let ends = lives[slot].ends, ends.since(now).count < policy.sweep.count.multipliedClamped(by: 2),
                let id = registry.identity(stream.slot)?[.session]
            else { continue }
            lives[slot].wasUsed = false
            touch(id, least: nil)
        }
        sessionCare.used.removeAll(keepingCapacity: sessionCare.used.count <= 1024)
    }

    func touch(_ id: Identifier, least: Milliseconds?) {
        if let uplink {
            uplink.touchSession(id, least: least)
        } else {
            shared.mailboxes[0].post(.touchSession(id, least: least))
        }
    }
}

/// How far a loop has come with the care of its sessions.
struct SessionCare {
    var last: BootTime
    var cursor = 0
    /// Slots that are due, with the fraction that is left over.
    var credit = 0.0
    /// Connections that sent a message, each at most once between two renewals.
    var used: [StreamID] = []
    var nextTouch: BootTime

    init(now: BootTime) {
        last = now
        nextTouch = now
    }

    static let step = Milliseconds(50)
}

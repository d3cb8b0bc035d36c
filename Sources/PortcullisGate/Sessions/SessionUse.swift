import PortcullisCore
import PortcullisReactor

/// The care of sessions that are held: each is read again within `sessions.sweep`, and renewed while it is in use.
extension GateLoop {
    /// Looks at as many slots as are due: all of them once in a sweep, spread evenly. A deaf gate hears of no change, and reads each within
    /// the lease.
    func careForSessions() {
        guard let policy = sessions, !lives.isEmpty else { return }
        guard now.since(sessionCare.last) >= (isReadingSessions ? SessionCare.shortStep : SweepWheel.tick) else {
            return
        }
        if policy.touches { touchUsed(policy) }
        let period = lease.isDeaf ? min(policy.sweep, sessionSpread) : policy.sweep
        for _ in 0..<sessionCare.due(now: now, slots: lives.count, period: period) {
            sessionCare.cursor = (sessionCare.cursor + 1) % lives.count
            readAgain(UInt32(sessionCare.cursor), policy)
        }
        if isReadingSessions { holdUnproved() }
    }

    /// Whether Redis may have told of changes that nobody heard, so that all sessions are being read again.
    var isReadingSessions: Bool {
        sessions != nil && (lease.isDeaf || !sessionCare.rounds.isEmpty)
    }

    /// The time in which all sessions are read again: with the answers on their way each is known anew within the lease.
    private var sessionSpread: Milliseconds {
        Milliseconds(configuration.lease.count * 3 / 4)
    }

    /// What was told of sessions may be lost: each that is held is read again, spread over what is left of the time up to which they are
    /// known. Those that are not read by then are held back (``holdUnproved()``).
    func readSessionsAgain() {
        guard sessions != nil else { return }
        let least = now + Milliseconds(configuration.lease.count / 5)
        let end = sessionCare.provedAt + configuration.lease
        let latest = now + sessionSpread
        sessionCare.begin(until: now < end ? max(least, min(end, latest)) : latest, slots: lives.count)
    }

    /// A probe has proved that all that was told before it has come. It proves nothing of what was told while nobody listened.
    func sessionsProved(_ at: BootTime) {
        guard !isReadingSessions else { return }
        sessionCare.provedAt = max(sessionCare.provedAt, at)
        // Whoever was held back for want of that.
        if holdsAny, mayServe, thawing == nil { thawing = 0 }
    }

    /// A session was read: its connections may go on, where the others may.
    func sessionProved(_ slot: UInt32, _ askedAt: BootTime) {
        lives[Int(slot)].sessionRead = max(lives[Int(slot)].sessionRead, ticks(askedAt))
        if mayServe, isSessionProved(slot) { letGo(slot) }
    }

    /// Whether it is known, as of a moment within the lease, what the connection's session says; true where it has none.
    func isSessionProved(_ slot: UInt32) -> Bool {
        guard lives[Int(slot)].isOfSession, now.since(sessionCare.provedAt) >= configuration.lease else { return true }
        return lives[Int(slot)].sessionRead > ticks(now + Milliseconds(-configuration.lease.count))
    }

    /// The lease of sessions: nothing passes on a connection whose session nobody has read or proved for as long as that.
    private func holdUnproved() {
        guard lease.mode == .strict, now.since(sessionCare.provedAt) >= configuration.lease else { return }
        for slot in lives.indices where lives[slot].isOfSession && lives[slot].phase == .live && !lives[slot].isHeld {
            if !isSessionProved(UInt32(slot)) { holdBack(UInt32(slot)) }
        }
    }

    private func readAgain(_ slot: UInt32, _ policy: SessionRules) {
        let live = lives[Int(slot)]
        let id: Identifier?
        switch live.phase {
        case .live: id = live.isOfSession ? registry.identity(slot)?[.session] : nil
        // Its answer may have come, or be on its way, from before what was lost.
        case .asking: id = live.pending?.session
        case .vacant, .head, .authenticating, .verifying, .closing: id = nil
        }
        guard let id else { return }
        if policy.touches, lives[Int(slot)].wasUsed {
            lives[Int(slot)].wasUsed = false
            touch(id, least: nil)
        }
        // One session may have many connections: it answers for all of them.
        guard sessionCare.isFirst(id) else { return }
        if let uplink { uplink.readSession(id) } else { shared.mailboxes[0].post(.readSession(id)) }
    }

    /// A message came on a live connection.
    func sessionUsed(_ slot: UInt32) {
        guard !lives[Int(slot)].wasUsed, registry.identity(slot)?.kind == .session else { return }
        lives[Int(slot)].wasUsed = true
        sessionCare.used.append(stream(slot))
    }

    /// Most sessions are renewed when the sweep comes to them; those that would end before are renewed with the next second.
    private func touchUsed(_ policy: SessionRules) {
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

/// How far a loop has come with the care of its sessions: a cursor that goes round all slots, faster while a round has to end in time.
struct SessionCare {
    /// All slots are to be looked at until then.
    struct Round: Equatable {
        var left: Int
        let end: BootTime
    }

    private(set) var last: BootTime
    var cursor = 0
    /// Slots that are due, with the fraction that is left over.
    private var credit = 0.0
    /// Rounds that are under way, the first to end first.
    private(set) var rounds: [Round] = []
    /// As of when all sessions are known that were read under tracking.
    var provedAt: BootTime
    /// Connections that sent a message, each at most once between two renewals.
    var used: [StreamID] = []
    var nextTouch: BootTime
    /// Sessions that were read a moment ago, and until when that is a moment ago.
    private var recent: Set<Identifier> = []
    private var recentEnd: BootTime

    init(now: BootTime) {
        last = now
        nextTouch = now
        provedAt = now
        recentEnd = now
    }

    /// The step while sessions must be read soon.
    static let shortStep = Milliseconds(10)
    /// More in one turn would hold up the others: the rest comes in the next.
    static let mostPerTurn = 128
    private static let mostRounds = 4

    /// All slots are to be looked at until `end`, whatever was looked at before.
    mutating func begin(until end: BootTime, slots: Int) {
        recent = []
        // One that need not end before the new one is part of it.
        rounds.removeAll { $0.end >= end }
        if rounds.count < Self.mostRounds {
            rounds.append(Round(left: slots, end: end))
        } else {
            rounds[rounds.count - 1].left = slots
        }
    }

    /// How many slots the cursor moves on by.
    /// - Parameter period: the time in which it goes round all slots where nothing hurries it.
    mutating func due(now: BootTime, slots: Int, period: Milliseconds) -> Int {
        let elapsed = Double(now.since(last).count)
        let before = last
        last = now
        var pace = Double(slots) / Double(max(1, period.count))
        for round in rounds {
            pace = max(pace, Double(round.left) / Double(max(1, round.end.since(before).count)))
        }
        // What could not be done in one round is not owed twice.
        credit = min(credit + pace * elapsed, Double(slots))
        let steps = min(slots, Self.mostPerTurn, Int(credit))
        credit -= Double(steps)
        for index in rounds.indices { rounds[index].left -= steps }
        rounds.removeAll { $0.left <= 0 }
        if now >= recentEnd {
            recent.removeAll(keepingCapacity: true)
            // So that one whose other connection ends meanwhile is read little later.
            recentEnd = now + Milliseconds(Int64(Double(slots) / pace / 8))
        }
        return steps
    }

    /// Whether the session was not read a moment ago.
    mutating func isFirst(_ id: Identifier) -> Bool {
        recent.insert(id).inserted
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Decisions and questions that may match many connections: gone through a slice a turn, so that nobody else waits. Whoever connects
/// meanwhile is held against the replica, which has known the decision before.
extension GateLoop {
    /// Up to so many candidates are gone through at once, however much the turn has done already: a decision against one person does not
    /// wait behind one against all.
    private static let atOnce = 64
    /// What a turn spends on walks that are under way, beside its mail.
    static let share: Int64 = 500_000

    /// Goes through the connections that could match: those of the narrowest id in the selector, else all.
    func begin(_ walk: consuming Walk) {
        for field in [Identity.Field.token, .session, .user] {
            guard let id = walk.select.ids[field] else { continue }
            var slots: [UInt32] = []
            registry.forEach(field, id) { slot, _ in slots.append(slot) }
            walk.slots = slots
            break
        }
        walk.end = walk.slots?.count ?? lives.count
        walk.serial = walksBegun
        walksBegun += 1
        var stopped: [StreamID] = []
        let isDone = go(on: &walk, until: walk.end <= Self.atOnce ? .max : Clock.boot() + Self.share, &stopped)
        switch walk.purpose {
        case .close(let decided, _, _, let frames):
            let decision = isDone ? (decided, walk.enforced) : nil
            begin(MassClose(streams: stopped, frames: frames, decision: decision, walk: isDone ? nil : walk.serial))
        case .demand(let decided, _), .notify(let decided, _): if isDone { done(walk.enforced, decided) }
        case .ask(let query):
            if isDone { answered(query, walk) } else { asks.append(walk) }
            return
        }
        if !isDone { walks.append(walk) }
    }

    /// Goes on with the walks that are under way, the oldest first, and takes the leases that stood behind those that have ended.
    func walkSlice() {
        guard !walks.isEmpty else { return }
        let end = Clock.boot() + Self.share
        while var walk = walks.first {
            var stopped: [StreamID] = []
            let isDone = go(on: &walk, until: end, &stopped)
            close(stopped, of: walk, isDone: isDone)
            guard isDone else {
                walks[0] = walk
                return
            }
            walks.removeFirst()
            takeLeases()
        }
    }

    /// What was stopped in this slice is closed with what was stopped before; the receipt comes behind the last of them.
    private func close(_ stopped: [StreamID], of walk: Walk, isDone: Bool) {
        switch walk.purpose {
        case .close(let decided, _, _, _):
            guard let index = massCloses.firstIndex(where: { $0.walk == walk.serial }) else { return }
            massCloses[index].streams += stopped
            guard isDone else { return }
            massCloses[index].decision = (decided, walk.enforced)
            massCloses[index].walk = nil
        case .demand(let decided, _), .notify(let decided, _): if isDone { done(walk.enforced, decided) }
        case .ask: break
        }
    }

    /// Goes on with the oldest question, once no decision is under way.
    func askSlice() {
        guard walks.isEmpty, var walk = asks.first, case .ask(let query) = walk.purpose else { return }
        var stopped: [StreamID] = []
        if go(on: &walk, until: Clock.boot() + Self.share, &stopped) {
            asks.removeFirst()
            answered(query, walk)
        } else {
            asks[0] = walk
        }
    }

    /// The view was confirmed; but a decision that it covers may not have reached everybody yet. (guarantee.md, 4)
    func vouched(_ sentAt: BootTime) {
        guard let last = walks.last else { return renewLease(sentAt) }
        leasesBehind.append(sentAt, behind: last.serial)
    }

    private func takeLeases() {
        for sentAt in leasesBehind.take(before: walks.first?.serial ?? .max) { renewLease(sentAt) }
    }

    /// - Returns: whether all candidates have been looked at.
    private func go(on walk: inout Walk, until end: Int64, _ stopped: inout [StreamID]) -> Bool {
        while walk.next < walk.end {
            // The clock is asked for every few: it costs as much as a look at one that does not match.
            if walk.next % 8 == 7, Clock.boot() >= end { return false }
            let slot = walk.slots?[walk.next] ?? UInt32(walk.next)
            walk.next += 1
            guard let identity = registry.identity(slot), registry.state(slot) != .condemned else { continue }
            let traits = traits(slot)
            guard walk.select.matches(identity, traits) else { continue }
            if let except = walk.except, except.matches(identity, traits) {
                walk.enforced.spared += 1
                continue
            }
            act(on: slot, &walk, &stopped)
        }
        return true
    }

    private func act(on slot: UInt32, _ walk: inout Walk, _ stopped: inout [StreamID]) {
        switch walk.purpose {
        case .close(let decided, let outcome, let closing, _):
            guard covers(slot, decided) else {
                walk.enforced.spared += 1
                return
            }
            walk.enforced.matched += 1
            walk.enforced.closed += 1
            if lives[Int(slot)].phase == .asking {
                refuse(stream(slot), Refusal(outcome, "a decision came during the handshake"))
            } else if stop(slot, code: closing.code, reason: closing.reason) {
                stopped.append(stream(slot))
            }
        case .demand(let decided, let demand): demandSignIn(slot, decided, demand, &walk)
        case .notify(_, let frames):
            guard lives[Int(slot)].phase == .live else { return }
            walk.enforced.matched += 1
            push(slot, frames[lives[Int(slot)].isVersion1 ? 1 : 0])
        case .ask(let query): list(slot, query, &walk)
        }
    }
}

/// One pass over the connections that a decision may match.
struct Walk {
    enum Purpose {
        /// - Parameter Outcome: what a handshake that is not through is refused with.
        case close(Decided, Outcome, Closing, frames: [2 of [UInt8]])
        case demand(Decided, Demand)
        case notify(Decided, frames: [2 of [UInt8]])
        case ask(ConnectionQuery)
    }

    let purpose: Purpose
    let select: Selector
    let except: Selector?
    /// What becomes the receipt.
    var enforced: Enforced
    /// What is answered to a question (``QueryPart``).
    var rows: [UInt8] = []
    var rowCount = 0
    /// The candidates; nil: all slots.
    var slots: [UInt32]?
    var next = 0
    var end = 0
    /// Tells it from other walks; later ones have greater numbers.
    var serial: UInt64 = 0

    init(_ purpose: Purpose, _ select: Selector, _ except: Selector?, _ enforced: Enforced) {
        self.purpose = purpose
        self.select = select
        self.except = except
        self.enforced = enforced
    }
}

/// Confirmations of the view that came behind decisions which are still under way.
struct LeasesBehind {
    private var waiting: [(sentAt: BootTime, walk: UInt64)] = []

    mutating func append(_ sentAt: BootTime, behind walk: UInt64) {
        // Of two behind the same decision the later says it all: no more wait than there are walks.
        if waiting.last?.walk == walk { waiting.removeLast() }
        waiting.append((sentAt, walk))
    }

    /// Those that no walk from this one on stands before.
    mutating func take(before oldest: UInt64) -> [BootTime] {
        let free = waiting.prefix { $0.walk < oldest }.map(\.sentAt)
        waiting.removeFirst(free.count)
        return free
    }
}

import PortcullisCore
import PortcullisWire

/// Sessions that were read under tracking, for other handshakes that present them: Redis tells of each change, and a probe that comes back
/// proves that all that was told before it has come. So what is here is what Redis held at a moment within the lease, as it is for a live
/// connection. (guarantee.md, 12)
///
/// The answer to a read and the news of a change come on two links, in any order: an answer whose question was asked before the news is not
/// kept. Bounded in entries and bytes; when one half is full the other, older one is forgotten.
struct KnownSessions {
    struct Limits {
        var entries = 20_000
        var bytes = 16 << 20
        /// How long one is kept after it was read, whatever is proved: those that live connections hold are read again within a sweep.
        var age: Milliseconds
        /// The lease.
        var proof: Milliseconds
    }

    private struct Entry {
        let stored: StoredSession
        let ends: BootTime?
        let readAt: BootTime
        let weight: Int
    }

    private let limits: Limits
    private var young: [Identifier: Entry] = [:]
    private var old: [Identifier: Entry] = [:]
    private var youngBytes = 0
    /// Reads whose answers have not come. Redis answers in order.
    private(set) var readingCount = 0
    /// When Redis told last that a session has changed, as long as an answer may come that was asked for before.
    private var changes: [Identifier: UInt64] = [:]
    /// Goes up with all that Redis tells.
    private var serial: UInt64 = 1
    private var forgottenAt: UInt64 = 0
    private var isTracking = false
    private var provedAt = BootTime(nanoseconds: .min)
    /// How often a handshake was answered from here.
    private(set) var hits = 0

    /// What stands for a read that is not tracked.
    static let untracked: UInt64 = 0

    init(_ limits: Limits) {
        self.limits = limits
    }

    var count: Int {
        young.count + old.count
    }

    var changeCount: Int {
        changes.count
    }

    // MARK: - Reading

    /// A read is sent.
    /// - Returns: what its answer must come with.
    mutating func asked() -> UInt64 {
        readingCount += 1
        return isTracking ? serial : Self.untracked
    }

    /// - Parameter sentAt: when the read was sent, or before.
    mutating func answered(
        _ id: Identifier,
        _ stamp: UInt64,
        _ state: SessionState,
        sentAt: BootTime,
        now: BootTime,
        wall: WallTime
    ) {
        let hasChanged = hasChanged(id, since: stamp)
        guard stamp != Self.untracked, !hasChanged, stamp >= forgottenAt,
            case .present(let stored, let expires) = state
        else { return remove(id) }
        let weight = stored.footprint + id.bytes.count
        guard weight <= limits.bytes / 2 else { return remove(id) }
        put(Entry(stored: stored, ends: expires.map { now + $0.since(wall) }, readAt: sentAt, weight: weight), id)
    }

    /// A read of a session has its answer.
    /// - Returns: whether Redis has told meanwhile that it has changed.
    private mutating func hasChanged(_ id: Identifier, since stamp: UInt64) -> Bool {
        readingCount = max(0, readingCount - 1)
        guard !changes.isEmpty else { return false }
        let changedAt = changes[id]
        // Nothing that was asked for before this one is to come.
        if readingCount == 0 { changes = [:] } else if let changedAt, stamp >= changedAt { changes[id] = nil }
        return changedAt.map { stamp < $0 } ?? false
    }

    /// Where there is no moment without a read under way and too many changes are told, no answer that is awaited is kept.
    private mutating func note(_ id: Identifier) {
        if changes.count >= max(1, limits.entries) {
            changes = [:]
            forgottenAt = serial
        }
        changes[id] = serial
    }

    // MARK: - What Redis tells

    mutating func changed(_ id: Identifier) {
        serial += 1
        if readingCount > 0 { note(id) }
        remove(id)
    }

    /// What was told may be lost, or any of them may have changed.
    /// - Parameter isTracking: whether Redis tells of the changes of what is read from here on.
    mutating func forgetAll(isTracking: Bool) {
        serial += 1
        forgottenAt = serial
        self.isTracking = isTracking
        young = [:]
        old = [:]
        youngBytes = 0
    }

    /// Any of them may have changed; those that are read from here on are tracked as before.
    mutating func forgetAll() {
        forgetAll(isTracking: isTracking)
    }

    /// No answer comes any more.
    mutating func linkLost() {
        forgetAll(isTracking: false)
        readingCount = 0
        changes = [:]
    }

    mutating func proved(_ at: BootTime) {
        provedAt = max(provedAt, at)
    }

    // MARK: - Asking

    /// What Redis held of a session, and as of when it was read; nil where Redis must be asked.
    mutating func find(_ id: Identifier, now: BootTime, wall: WallTime) -> (state: SessionState, readAt: BootTime)? {
        guard isTracking else { return nil }
        let youngEntry = young[id]
        guard let entry = youngEntry ?? old[id] else { return nil }
        let isProved = now.since(max(entry.readAt, provedAt)) < limits.proof
        let hasEnded = entry.ends.map { $0 <= now } ?? false
        guard isProved, !hasEnded, now.since(entry.readAt) < limits.age else {
            remove(id)
            return nil
        }
        // Used again, it is not among the older ones any more.
        if youngEntry == nil { put(entry, id) }
        hits += 1
        return (.present(entry.stored, expires: entry.ends.map { wall + $0.since(now) }), entry.readAt)
    }

    // MARK: - The table

    /// Each stands in one of the halves at most.
    private mutating func put(_ entry: Entry, _ id: Identifier) {
        if isFull(entry.weight) {
            remove(id)
            if isFull(entry.weight) {
                old = young
                young = [:]
                youngBytes = 0
            }
        }
        if let before = young.updateValue(entry, forKey: id) { youngBytes -= before.weight }
        youngBytes += entry.weight
        if !old.isEmpty { old[id] = nil }
    }

    private func isFull(_ weight: Int) -> Bool {
        young.count >= max(1, limits.entries / 2) || youngBytes + weight > limits.bytes / 2
    }

    private mutating func remove(_ id: Identifier) {
        if let entry = young.removeValue(forKey: id) { youngBytes -= entry.weight }
        if !old.isEmpty { old[id] = nil }
    }
}

/// A read of a session that is under way.
struct SessionRead {
    let id: Identifier
    /// When it was sent, or before.
    let sentAt: BootTime
    /// Of ``KnownSessions/asked()``.
    let stamp: UInt64
}

extension StoredSession {
    /// About as many bytes as it takes in memory, with its place in a table.
    fileprivate var footprint: Int {
        switch self {
        case .string(let bytes): 192 + bytes.count
        case .hash(let fields): fields.reduce(192) { $0 + 48 + $1.count }
        }
    }
}

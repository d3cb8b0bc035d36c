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

    /// Reads of one session whose answers have not come.
    private struct Reading {
        var count = 0
        /// When Redis told last that it has changed.
        var changedAt: UInt64 = 0
    }

    private let limits: Limits
    private var young: [Identifier: Entry] = [:]
    private var old: [Identifier: Entry] = [:]
    private var youngBytes = 0
    private var reading: [Identifier: Reading] = [:]
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

    var readingCount: Int {
        reading.count
    }

    // MARK: - Reading

    /// A read is sent.
    /// - Returns: what its answer must come with.
    mutating func asked(_ id: Identifier) -> UInt64 {
        reading[id, default: Reading()].count += 1
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
        let changedAt = reading[id]?.changedAt ?? 0
        reading[id]?.count -= 1
        if reading[id]?.count == 0 { reading[id] = nil }
        remove(id)
        guard stamp != Self.untracked, stamp >= changedAt, stamp >= forgottenAt,
            case .present(let stored, let expires) = state
        else { return }
        let weight = stored.footprint + id.bytes.count
        guard weight <= limits.bytes / 2 else { return }
        put(Entry(stored: stored, ends: expires.map { now + $0.since(wall) }, readAt: sentAt, weight: weight), id)
    }

    // MARK: - What Redis tells

    mutating func changed(_ id: Identifier) {
        serial += 1
        reading[id]?.changedAt = serial
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
        reading = [:]
    }

    mutating func proved(_ at: BootTime) {
        provedAt = max(provedAt, at)
    }

    // MARK: - Asking

    /// What Redis held of a session, and as of when it was read; nil where Redis must be asked.
    mutating func find(_ id: Identifier, now: BootTime, wall: WallTime) -> (state: SessionState, readAt: BootTime)? {
        guard isTracking, let entry = young[id] ?? old[id] else { return nil }
        let isProved = now.since(max(entry.readAt, provedAt)) < limits.proof
        let hasEnded = entry.ends.map { $0 <= now } ?? false
        guard isProved, !hasEnded, now.since(entry.readAt) < limits.age else {
            remove(id)
            return nil
        }
        if old[id] != nil {
            remove(id)
            put(entry, id)
        }
        hits += 1
        return (.present(entry.stored, expires: entry.ends.map { wall + $0.since(now) }), entry.readAt)
    }

    // MARK: - The table

    private mutating func put(_ entry: Entry, _ id: Identifier) {
        if young.count >= max(1, limits.entries / 2) || youngBytes + entry.weight > limits.bytes / 2 {
            old = young
            young = [:]
            youngBytes = 0
        }
        young[id] = entry
        youngBytes += entry.weight
    }

    private mutating func remove(_ id: Identifier) {
        if let entry = young.removeValue(forKey: id) { youngBytes -= entry.weight }
        old[id] = nil
    }
}

/// A read of a session that is under way.
struct SessionRead {
    let id: Identifier
    /// When it was sent, or before.
    let sentAt: BootTime
    /// Of ``KnownSessions/asked(_:)``.
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

import PortcullisCore

/// A bounded table of verified tokens. A hand goes round when there is no room, and takes out who was not asked for since it came by last,
/// or has ended. Those who were never asked for again go first, so that a flood of tokens that come once leaves in place those that come
/// again and again.
struct VerifiedTokenTable {
    private struct Entry {
        let digest: TokenDigest
        let token: VerifiedToken
        let weight: Int
        /// How often the hand still passes it by.
        var respite: UInt8 = 0
    }

    private let capacity: Int
    private let mostBytes: Int
    private var places: [TokenDigest: Int] = [:]
    private var entries: [Entry?] = []
    private var free: [Int] = []
    private var hand = 0
    private(set) var bytes = 0

    private static let mostRespite: UInt8 = 3
    /// An entry's own bytes, and those of its place in the dictionary.
    private static let overhead = MemoryLayout<Entry?>.stride + 64

    init(capacity: Int, mostBytes: Int) {
        self.capacity = max(0, capacity)
        self.mostBytes = mostBytes
        // Growing later would hold up a handshake, and all others with it.
        let most = min(self.capacity, mostBytes / Self.overhead)
        places.reserveCapacity(most)
        entries.reserveCapacity(most)
    }

    var count: Int {
        places.count
    }

    /// The token, if it is there. One that has ended is found a last time.
    mutating func find(_ digest: TokenDigest, _ now: WallTime) -> VerifiedToken? {
        guard let place = places[digest], let entry = entries[place] else { return nil }
        if entry.token.expires <= now {
            remove(place)
        } else if entry.respite < Self.mostRespite {
            entries[place]?.respite += 1
        }
        return entry.token
    }

    mutating func insert(_ token: VerifiedToken, _ digest: TokenDigest, _ now: WallTime) {
        let weight = Self.overhead + token.identity.footprint
        guard capacity > 0, weight <= mostBytes, places[digest] == nil else { return }
        while count >= capacity || bytes + weight > mostBytes { evict(now) }
        let entry = Entry(digest: digest, token: token, weight: weight)
        // Where the hand has just been: it comes there last.
        if let place = free.popLast() {
            entries[place] = entry
            places[digest] = place
        } else {
            places[digest] = entries.count
            entries.append(entry)
        }
        bytes += weight
    }

    /// Takes one out. Its caller knows that there is one.
    private mutating func evict(_ now: WallTime) {
        while count > 0 {
            if hand >= entries.count { hand = 0 }
            let place = hand
            hand += 1
            guard let entry = entries[place] else { continue }
            if entry.respite == 0 || entry.token.expires <= now { return remove(place) }
            entries[place]?.respite -= 1
        }
    }

    private mutating func remove(_ place: Int) {
        guard let entry = entries[place] else { return }
        entries[place] = nil
        places[entry.digest] = nil
        free.append(place)
        bytes -= entry.weight
    }
}

/// A hash table of numbers that stand for something elsewhere: open addressing, linear probing, no tombstones. Whoever asks brings the hash
/// and knows whether a number is the one that is meant.
///
/// It is made of segments, chosen by the hash, that grow each by itself: no insert sets anew more than one of them. A byte of the hash
/// stands beside each number, so that those which are not meant are hardly ever looked at.
struct ReferenceTable: Sendable {
    fileprivate struct Segment {
        var slots: [UInt32] = []
        var tags: [UInt8] = []
        var used = 0
    }

    private var segments = [Segment](repeating: Segment(), count: 256)

    fileprivate static let empty = UInt32.max

    var byteCount: Int {
        segments.reduce(0) { $0 + $1.slots.capacity * 4 + $1.tags.capacity }
    }

    // The segment, the tag and the place are made of different bits.
    private static func segment(_ hash: Int) -> Int { Int(truncatingIfNeeded: UInt(bitPattern: hash) >> 56) }
    fileprivate static func tag(_ hash: Int) -> UInt8 { UInt8(truncatingIfNeeded: UInt(bitPattern: hash) >> 48) }

    func first(_ hash: Int, where matches: (UInt32) -> Bool) -> UInt32? {
        guard !segments.isEmpty else { return nil }
        let segment = Self.segment(hash)
        return segments[segment].index(hash, where: matches).map { segments[segment].slots[$0] }
    }

    /// - Parameter hashOf: the hash of a number that is held: they are set anew when a segment grows.
    mutating func insert(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        if segments.isEmpty { segments = [Segment](repeating: Segment(), count: 256) }
        segments[Self.segment(hash)].insert(reference, hash, hashOf)
    }

    /// Puts another number in the place of one with the same hash.
    mutating func replace(_ reference: UInt32, by other: UInt32, _ hash: Int) {
        guard !segments.isEmpty, let at = segments[Self.segment(hash)].index(hash, where: { $0 == reference }) else {
            return
        }
        segments[Self.segment(hash)].slots[at] = other
    }

    mutating func remove(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        if !segments.isEmpty { segments[Self.segment(hash)].remove(reference, hash, hashOf) }
    }
}

extension ReferenceTable.Segment {
    func index(_ hash: Int, where matches: (UInt32) -> Bool) -> Int? {
        guard !slots.isEmpty else { return nil }
        let (mask, tag) = (slots.count - 1, ReferenceTable.tag(hash))
        var at = hash & mask
        while slots[at] != ReferenceTable.empty {
            if tags[at] == tag, matches(slots[at]) { return at }
            at = (at + 1) & mask
        }
        return nil
    }

    mutating func insert(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        if (used + 1) * 5 > slots.count * 4 { grow(hashOf) }
        place(reference, hash)
        used += 1
    }

    private mutating func place(_ reference: UInt32, _ hash: Int) {
        let mask = slots.count - 1
        var at = hash & mask
        while slots[at] != ReferenceTable.empty { at = (at + 1) & mask }
        slots[at] = reference
        tags[at] = ReferenceTable.tag(hash)
    }

    private mutating func grow(_ hashOf: (UInt32) -> Int) {
        let old = slots
        slots = [UInt32](repeating: ReferenceTable.empty, count: max(8, old.count * 2))
        tags = [UInt8](repeating: 0, count: slots.count)
        for reference in old where reference != ReferenceTable.empty { place(reference, hashOf(reference)) }
    }

    mutating func remove(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        guard var hole = index(hash, where: { $0 == reference }) else { return }
        used -= 1
        if used == 0 {
            (slots, tags) = ([], [])
            return
        }
        let mask = slots.count - 1
        // What stands behind moves up, where its own place is not between the hole and it.
        var at = hole
        while true {
            slots[hole] = ReferenceTable.empty
            var home: Int
            repeat {
                at = (at + 1) & mask
                guard slots[at] != ReferenceTable.empty else { return }
                home = hashOf(slots[at]) & mask
            } while hole <= at ? hole < home && home <= at : hole < home || home <= at
            slots[hole] = slots[at]
            tags[hole] = tags[at]
            hole = at
        }
    }
}

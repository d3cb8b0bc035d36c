/// A hash table of numbers that stand for something elsewhere: open addressing, linear probing, no tombstones. Whoever asks brings the hash
/// and knows whether a number is the one that is meant.
struct ReferenceTable: Sendable {
    private var slots: [UInt32] = []
    private var used = 0

    private static let empty = UInt32.max

    var byteCount: Int { slots.capacity * 4 }

    func first(_ hash: Int, where matches: (UInt32) -> Bool) -> UInt32? {
        guard !slots.isEmpty else { return nil }
        let mask = slots.count - 1
        var at = hash & mask
        while slots[at] != Self.empty {
            if matches(slots[at]) { return slots[at] }
            at = (at + 1) & mask
        }
        return nil
    }

    /// - Parameter hashOf: the hash of a number that is held: they are set anew when the table grows.
    mutating func insert(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        if (used + 1) * 5 > slots.count * 4 { grow(hashOf) }
        place(reference, hash)
        used += 1
    }

    private mutating func place(_ reference: UInt32, _ hash: Int) {
        let mask = slots.count - 1
        var at = hash & mask
        while slots[at] != Self.empty { at = (at + 1) & mask }
        slots[at] = reference
    }

    private mutating func grow(_ hashOf: (UInt32) -> Int) {
        let old = slots
        slots = [UInt32](repeating: Self.empty, count: max(16, old.count * 2))
        for reference in old where reference != Self.empty { place(reference, hashOf(reference)) }
    }

    /// Puts another number in the place of one with the same hash.
    mutating func replace(_ reference: UInt32, by other: UInt32, _ hash: Int) {
        guard let at = index(of: reference, hash) else { return }
        slots[at] = other
    }

    mutating func remove(_ reference: UInt32, _ hash: Int, _ hashOf: (UInt32) -> Int) {
        guard var hole = index(of: reference, hash) else { return }
        used -= 1
        let mask = slots.count - 1
        // What stands behind moves up, where its own place is not between the hole and it.
        var at = hole
        while true {
            slots[hole] = Self.empty
            var home: Int
            repeat {
                at = (at + 1) & mask
                guard slots[at] != Self.empty else { return }
                home = hashOf(slots[at]) & mask
            } while hole <= at ? hole < home && home <= at : hole < home || home <= at
            slots[hole] = slots[at]
            hole = at
        }
    }

    private func index(of reference: UInt32, _ hash: Int) -> Int? {
        guard !slots.isEmpty else { return nil }
        let mask = slots.count - 1
        var at = hash & mask
        while slots[at] != Self.empty {
            if slots[at] == reference { return at }
            at = (at + 1) & mask
        }
        return nil
    }
}

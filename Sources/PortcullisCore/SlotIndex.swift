/// Finds the slots that share a key, without holding a key: the key stands in what the slot belongs to, the index holds slot numbers
/// and hashes only.
///
/// Slots of one key form a ring-free doubly linked list; a table with linear probing holds the head of each. Twelve bytes a slot and
/// at most eight a key.
struct SlotIndex: Sendable {
    private struct Link {
        var next: UInt32 = none
        var previous: UInt32 = none
        var hash: UInt32 = 0
    }

    static let none = UInt32.max

    private var links: [Link] = []
    private var heads: [UInt32] = Array(repeating: none, count: 16)
    private(set) var keys = 0

    private var mask: Int {
        heads.count - 1
    }

    /// The first slot of a key.
    /// - Parameter isKey: whether the slot, which has this hash, has the key.
    func first(_ hash: Int, _ isKey: (UInt32) -> Bool) -> UInt32? {
        let short = UInt32(truncatingIfNeeded: hash)
        var position = Int(short) & mask
        while heads[position] != Self.none {
            let slot = heads[position]
            if links[Int(slot)].hash == short, isKey(slot) { return slot }
            position = (position + 1) & mask
        }
        return nil
    }

    /// The slot of the same key after this one.
    func next(_ slot: UInt32) -> UInt32? {
        let next = links[Int(slot)].next
        return next == Self.none ? nil : next
    }

    /// Puts a slot in front of the others of its key.
    mutating func insert(_ slot: UInt32, hash: Int, isKey: (UInt32) -> Bool) {
        while links.count <= Int(slot) { links.append(Link()) }
        let short = UInt32(truncatingIfNeeded: hash)
        var position = Int(short) & mask
        while heads[position] != Self.none {
            let head = heads[position]
            if links[Int(head)].hash == short, isKey(head) {
                links[Int(slot)] = Link(next: head, previous: Self.none, hash: short)
                links[Int(head)].previous = slot
                heads[position] = slot
                return
            }
            position = (position + 1) & mask
        }
        links[Int(slot)] = Link(next: Self.none, previous: Self.none, hash: short)
        heads[position] = slot
        keys += 1
        if keys * 2 > heads.count { resize(to: heads.count * 2) }
    }

    mutating func remove(_ slot: UInt32) {
        let link = links[Int(slot)]
        if link.next != Self.none { links[Int(link.next)].previous = link.previous }
        if link.previous != Self.none {
            links[Int(link.previous)].next = link.next
        } else if let position = position(ofHead: slot) {
            if link.next != Self.none {
                heads[position] = link.next
            } else {
                vacate(position)
                keys -= 1
                // A storm that has passed leaves no large table behind.
                if heads.count > 1024, keys * 8 < heads.count { resize(to: heads.count / 2) }
            }
        }
        links[Int(slot)] = Link()
    }

    /// Gives up the room of slots from this one on, none of which stands in the index.
    mutating func shrink(to count: Int) {
        guard links.count > count else { return }
        links = Array(links[..<count])
    }

    private func position(ofHead slot: UInt32) -> Int? {
        var position = Int(links[Int(slot)].hash) & mask
        while heads[position] != Self.none {
            if heads[position] == slot { return position }
            position = (position + 1) & mask
        }
        return nil
    }

    /// Empties a position and moves back what had probed past it.
    private mutating func vacate(_ start: Int) {
        var hole = start
        var position = start
        while true {
            position = (position + 1) & mask
            let slot = heads[position]
            guard slot != Self.none else { break }
            let home = Int(links[Int(slot)].hash) & mask
            // It may fill the hole where its home does not lie (cyclically) between the hole and itself.
            if (position - home) & mask >= (position - hole) & mask {
                heads[hole] = slot
                hole = position
            }
        }
        heads[hole] = Self.none
    }

    private mutating func resize(to count: Int) {
        let old = heads
        heads = Array(repeating: Self.none, count: count)
        for slot in old where slot != Self.none {
            var position = Int(links[Int(slot)].hash) & mask
            while heads[position] != Self.none { position = (position + 1) & mask }
            heads[position] = slot
        }
    }
}

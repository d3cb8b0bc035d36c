/// The deadlines of all connections of a loop: one a connection, in buckets by time, linked through the slots' own numbers.
///
/// No timer is made or cancelled. Setting a deadline is a few stores; a deadline beyond the wheel's horizon is looked at once a turn
/// of the wheel and put back.
public struct SweepWheel: Sendable {
    private struct Node {
        var next: UInt32 = none
        var previous: UInt32 = none
        /// The bucket it stands in; none where the slot has no deadline.
        var bucket: UInt32 = none
        /// The tick at which it is due.
        var due: UInt32 = 0
    }

    private static let none = UInt32.max

    /// The resolution: a deadline fires at most this much late, never early.
    public static let tick = Milliseconds(50)

    private var nodes: [Node] = []
    private var heads: [UInt32]
    private let start: BootTime
    /// The last tick that has been swept.
    private var swept: UInt32 = 0
    /// How many slots have a deadline.
    public private(set) var count = 0

    /// - Parameter buckets: how many ticks a turn of the wheel has (2,048: 102 s).
    public init(now: BootTime, buckets: Int = 2048) {
        start = now
        heads = Array(repeating: Self.none, count: max(buckets, 2))
    }

    private func tick(of time: BootTime) -> UInt32 {
        UInt32(clamping: max(0, time.since(start).count) / Self.tick.count)
    }

    /// Sets or moves the deadline of a slot.
    public mutating func set(_ slot: UInt32, at deadline: BootTime) {
        remove(slot)
        while nodes.count <= Int(slot) { nodes.append(Node()) }
        // Rounded up: a deadline never fires early.
        let due = max(tick(of: deadline).addingClamped(1), swept.addingClamped(1))
        link(slot, due: due)
        count += 1
    }

    private mutating func link(_ slot: UInt32, due: UInt32) {
        let horizon = min(due, swept.addingClamped(UInt32(heads.count - 1)))
        let bucket = Int(horizon) % heads.count
        let head = heads[bucket]
        nodes[Int(slot)] = Node(next: head, previous: Self.none, bucket: UInt32(bucket), due: due)
        if head != Self.none { nodes[Int(head)].previous = slot }
        heads[bucket] = slot
    }

    /// Takes a slot's deadline away; nothing happens where it has none.
    public mutating func remove(_ slot: UInt32) {
        guard Int(slot) < nodes.count, nodes[Int(slot)].bucket != Self.none else { return }
        unlink(slot)
        count -= 1
    }

    /// Gives up the room of slots at the end that have no deadline.
    public mutating func shrink() {
        nodes.shrink { $0.bucket == Self.none }
    }

    /// For how many slots there is room.
    public var capacity: Int {
        nodes.capacity
    }

    private mutating func unlink(_ slot: UInt32) {
        let node = nodes[Int(slot)]
        if node.previous == Self.none {
            heads[Int(node.bucket)] = node.next
        } else {
            nodes[Int(node.previous)].next = node.next
        }
        if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
        nodes[Int(slot)] = Node()
    }

    /// Takes out the slots whose deadlines have passed, at most `limit` of them; call again where it returned that many.
    public mutating func due(now: BootTime, limit: Int, into slots: inout [UInt32]) {
        let current = tick(of: now)
        while swept < current {
            let tick = swept + 1
            // After a long pause every bucket need be looked at only once.
            if current - tick > UInt32(heads.count) {
                swept = current - UInt32(heads.count) - 1
                continue
            }
            let bucket = Int(tick) % heads.count
            var slot = heads[bucket]
            while slot != Self.none {
                if slots.count >= limit { return }
                let next = nodes[Int(slot)].next
                let due = nodes[Int(slot)].due
                unlink(slot)
                if due <= current {
                    count -= 1
                    slots.append(slot)
                } else {
                    link(slot, due: due)
                    // It may have come back into this very bucket, a whole turn ahead.
                }
                slot = next
            }
            swept = tick
        }
    }
}

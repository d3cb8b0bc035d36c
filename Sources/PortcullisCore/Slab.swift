/// Values in numbered slots that stay where they are: what walks over them goes on at a number, whatever was removed meanwhile.
public struct Slab<Value: Sendable>: Sendable {
    private var slots: [Value?] = []
    private var free: [Int] = []
    public private(set) var count = 0

    public init() {}

    /// The number behind the last slot.
    public var end: Int { slots.count }

    public subscript(slot: Int) -> Value? {
        slots.indices.contains(slot) ? slots[slot] : nil
    }

    /// - Returns: the slot, which may have been another's.
    public mutating func insert(_ value: Value) -> Int {
        count += 1
        if let slot = free.popLast() {
            slots[slot] = value
            return slot
        }
        slots.append(value)
        return slots.count - 1
    }

    /// Changes what stands in a slot; nothing happens where it is empty.
    public mutating func update(_ slot: Int, _ change: (inout Value) -> Void) {
        guard slots.indices.contains(slot), var value = slots[slot] else { return }
        change(&value)
        slots[slot] = value
    }

    /// Gives up the room of empty slots at the end.
    public mutating func shrink() {
        guard slots.shrink(whileLast: { $0 == nil }) else { return }
        let end = slots.count
        free = free.filter { $0 < end }
    }

    @discardableResult
    public mutating func remove(_ slot: Int) -> Value? {
        guard slots.indices.contains(slot), let value = slots[slot] else { return nil }
        slots[slot] = nil
        count -= 1
        free.append(slot)
        if count == 0 { (slots, free) = ([], []) }
        return value
    }
}

/// What grew with a crowd becomes small again.
extension Engine {
    /// For how many streams there is room.
    public var capacity: Int {
        slots.capacity
    }

    /// Gives up the room of slots at the end that are free, where that is most of it. Streams keep their names, and no name is ever given
    /// twice: slots that are made anew begin with a generation that none of those had.
    /// - Returns: whether anything was given up.
    @discardableResult
    public func shrink() -> Bool {
        guard slots.capacity > Self.leastSlots, free.count > slots.count / 2 else { return false }
        // Whoever comes takes the lowest, so that those at the end become free.
        free.sort(by: >)
        var end = slots.count
        while end > 0, slots[end - 1].state == .free { end -= 1 }
        guard end <= slots.capacity / 2 else { return false }
        for slot in slots[end...] { firstGeneration = max(firstGeneration, slot.generation) }
        slots = Array(slots[..<end])
        free = free.filter { $0 < end }
        return true
    }

    private static let leastSlots = 1024
}

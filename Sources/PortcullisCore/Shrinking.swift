// Tables grow with a crowd of connections; here they become small again when it has gone. The numbers of what stays do not change.

extension Array {
    /// What is smaller is not worth the copy.
    private static var leastCapacity: Int { 1024 }

    /// Drops the elements at the end that stand for nothing, and the room that they took, where no more than half of it is used then.
    /// - Returns: whether it is smaller now.
    @discardableResult
    package mutating func shrink(whileLast isFree: (Element) -> Bool) -> Bool {
        guard capacity > Self.leastCapacity else { return false }
        var end = count
        while end > 0, isFree(self[end - 1]) { end -= 1 }
        guard end <= capacity / 2 else { return false }
        // A copy takes as much room as it needs; this array would keep what it has.
        self = Array(self[..<end])
        return true
    }
}

extension Dictionary {
    /// Gives up room that is for many more entries than there are.
    package mutating func shrink() {
        guard capacity > 1024, count <= capacity / 4 else { return }
        // A copy takes as much room as it needs.
        self = filter { _ in true }
    }
}

extension Set {
    /// Gives up room that is for many more elements than there are.
    package mutating func shrink() {
        guard capacity > 1024, count <= capacity / 4 else { return }
        // A copy takes as much room as it needs.
        self = filter { _ in true }
    }
}

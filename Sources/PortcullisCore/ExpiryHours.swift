/// Which slots end in which hour, so that expiry looks at nothing that stays.
struct ExpiryHours: Sendable {
    private var slots: [Int64: Set<Int>] = [:]
    private var looked = Int64.min
    private var hasMore = false

    mutating func insert(_ slot: Int, _ expires: WallTime) {
        slots[Self.hour(of: expires), default: []].insert(slot)
    }

    mutating func remove(_ slot: Int, _ expires: WallTime) {
        let hour = Self.hour(of: expires)
        slots[hour]?.remove(slot)
        if slots[hour]?.isEmpty == true { slots[hour] = nil }
    }

    /// Slots whose hour has passed, which are listed no more. Once an hour, or until none is left.
    mutating func passed(_ now: WallTime, atMost: Int) -> [Int] {
        let hour = Self.hour(of: now)
        guard hour > looked || hasMore && hour == looked else { return [] }
        looked = hour
        hasMore = false
        var passed: [Int] = []
        for past in slots.keys.filter({ $0 < hour }) {
            while passed.count < atMost, let slot = slots[past]?.popFirst() { passed.append(slot) }
            if slots[past]?.isEmpty == true { slots[past] = nil } else { hasMore = true }
            if passed.count >= atMost { break }
        }
        hasMore = hasMore || passed.count >= atMost
        return passed
    }

    private static func hour(of time: WallTime) -> Int64 {
        time.milliseconds / 3_600_000
    }
}

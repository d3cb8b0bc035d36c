/// The events that were applied last, so that one which comes by the channel and again by the log is applied once. Bounded: what has
/// been forgotten is applied again, which changes nothing but costs the work.
struct RecentEvents {
    private var orders: [Identifier: Int64] = [:]
    private var queue: [Identifier] = []
    private var first = 0

    static let capacity = 16_384

    /// Notes an event; false where it was applied with this order before.
    mutating func isNew(_ event: Identifier, order: Int64) -> Bool {
        if let known = orders.updateValue(order, forKey: event) { return known != order }
        queue.append(event)
        if queue.count - first > Self.capacity {
            orders[queue[first]] = nil
            first += 1
            if first > Self.capacity {
                queue.removeFirst(first)
                first = 0
            }
        }
        return true
    }
}

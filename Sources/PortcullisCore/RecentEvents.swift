/// The events that were applied last, so that one which comes by the channel and again by the log is applied once. Bounded: what has
/// been forgotten is applied again, which changes nothing but costs the work.
struct RecentEvents {
    enum Finding {
        /// It was applied.
        case known
        case new
        /// The channel has told of another under the same id: one of the two is forged, and the log says which.
        case contradicted

        var isNew: Bool { self != .known }
    }

    private struct Note {
        var order: Int64
        /// What the channel told; nil where the log was read to hold it.
        var heard: LoggedEvent?
    }

    private var notes: [Identifier: Note] = [:]
    private var queue: [Identifier] = []
    private var first = 0

    static let capacity = 16_384

    /// Notes an event.
    /// - Parameter isRead: whether the log was read to hold it.
    mutating func note(_ event: LoggedEvent, isRead: Bool) -> Finding {
        guard let known = notes[event.key] else {
            notes[event.key] = Note(order: event.order, heard: isRead ? nil : event)
            enqueue(event.key)
            return .new
        }
        if known.heard == nil, known.order == event.order { return .known }
        if let heard = known.heard, heard == event {
            if isRead { notes[event.key]?.heard = nil }
            return .known
        }
        notes[event.key] = Note(order: event.order, heard: isRead ? nil : event)
        return known.heard == nil ? .new : .contradicted
    }

    private mutating func enqueue(_ event: Identifier) {
        queue.append(event)
        guard queue.count - first > Self.capacity else { return }
        notes[queue[first]] = nil
        first += 1
        if first > Self.capacity {
            queue.removeFirst(first)
            first = 0
        }
    }
}

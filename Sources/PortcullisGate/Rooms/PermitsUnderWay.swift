import PortcullisCore

/// Permits that were only published and have no place in the log yet: what is said in their rooms meanwhile waits until they have one, and
/// the log was read up to there. So a message that was published behind such a permit is not heard by whom it shuts out.
struct PermitsUnderWay {
    private struct Room {
        /// The events that are being adopted.
        var adoptions: Set<Identifier> = []
        /// Where the last that was adopted stands.
        var place = LogPosition.zero
    }

    private var rooms: [Identifier: Room] = [:]

    var isEmpty: Bool {
        rooms.isEmpty
    }

    /// A permit was heard.
    mutating func begin(_ event: Identifier, on resource: Identifier) {
        rooms[resource, default: Room()].adoptions.insert(event)
    }

    /// Its adoption is over.
    /// - Parameter place: where it stands in the log; nil: it changes nothing.
    mutating func end(_ event: Identifier, on resource: Identifier, at place: LogPosition?) {
        guard var room = rooms[resource], room.adoptions.remove(event) != nil else { return }
        room.place = max(room.place, place ?? .zero)
        rooms[resource] = room
    }

    /// Whether what is said in a room may pass.
    /// - Parameter hasTold: whether the log was read up to a place.
    mutating func mayPass(_ resource: Identifier, _ hasTold: (LogPosition) -> Bool) -> Bool {
        guard let room = rooms[resource] else { return true }
        guard room.adoptions.isEmpty, hasTold(room.place) else { return false }
        rooms[resource] = nil
        return true
    }

    /// Forgets the rooms in which nothing waits.
    mutating func prune(_ hasTold: (LogPosition) -> Bool) {
        rooms = rooms.filter { !$0.value.adoptions.isEmpty || !hasTold($0.value.place) }
    }
}

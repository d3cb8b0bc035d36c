import PortcullisCore

/// Which rooms the loops of a gate want to hear, and how far their subscriptions are.
struct RoomInterest {
    private struct Room {
        /// The loops that want it, each with the serial of its wish.
        var loops: [Int: UInt64] = [:]
        /// Acknowledgements that are still to come: one for each SUBSCRIBE. Only behind the last of them the subscription stands, for an
        /// UNSUBSCRIBE may stand between them.
        var owed = 0
    }

    enum Step: Equatable {
        case nothing
        case subscribe
        /// It stands already.
        case stands
        /// There is no link.
        case unavailable
        /// There are as many rooms as there may be.
        case full
    }

    private var rooms: [Identifier: Room] = [:]
    private(set) var isConnected = false
    private let most: Int

    /// - Parameter most: how many rooms may be wanted at once.
    init(most: Int) {
        self.most = most
    }

    var count: Int {
        rooms.count
    }

    /// The rooms that are wanted, or were a moment ago.
    var resources: [Identifier] {
        Array(rooms.keys)
    }

    /// A loop has its first member.
    mutating func want(_ resource: Identifier, loop: Int, serial: UInt64) -> Step {
        guard var room = rooms[resource] else {
            guard rooms.count < most else { return .full }
            rooms[resource] = Room(loops: [loop: serial], owed: isConnected ? 1 : 0)
            return isConnected ? .subscribe : .unavailable
        }
        let isSubscribed = !room.loops.isEmpty
        room.loops[loop] = serial
        if isConnected, !isSubscribed { room.owed += 1 }
        rooms[resource] = room
        guard isConnected else { return .unavailable }
        guard isSubscribed else { return .subscribe }
        return room.owed == 0 ? .stands : .nothing
    }

    /// A loop has lost its last member.
    /// - Returns: whether it was the last loop, so that the channel is to be left.
    mutating func release(_ resource: Identifier, loop: Int) -> Bool {
        guard var room = rooms[resource], room.loops.removeValue(forKey: loop) != nil else { return false }
        rooms[resource] = room.loops.isEmpty && room.owed == 0 ? nil : room
        return room.loops.isEmpty && isConnected
    }

    /// Redis has acknowledged a SUBSCRIBE.
    /// - Returns: the loops that hear the room from here on.
    mutating func acknowledged(_ resource: Identifier) -> [Int: UInt64] {
        guard var room = rooms[resource], room.owed > 0 else { return [:] }
        room.owed -= 1
        rooms[resource] = room.loops.isEmpty && room.owed == 0 ? nil : room
        return room.owed == 0 ? room.loops : [:]
    }

    /// Whether all that is published in a room from here on comes.
    func stands(_ resource: Identifier) -> Bool {
        rooms[resource].map { $0.owed == 0 && !$0.loops.isEmpty } ?? false
    }

    /// The loops that a message is for.
    func loops(of resource: Identifier) -> [Int: UInt64] {
        rooms[resource]?.loops ?? [:]
    }

    /// The link is lost, and with it all subscriptions.
    mutating func lost() {
        isConnected = false
        rooms = rooms.compactMapValues { room in
            room.loops.isEmpty ? nil : Room(loops: room.loops)
        }
    }

    /// The link stands.
    /// - Returns: the rooms to subscribe to.
    mutating func connected() -> [Identifier] {
        isConnected = true
        for resource in rooms.keys { rooms[resource]?.owed = 1 }
        return Array(rooms.keys)
    }
}

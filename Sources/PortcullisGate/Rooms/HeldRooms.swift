import PortcullisCore

/// Messages that were said behind decisions which this gate has not read yet: they wait until it has, and all that comes into their rooms
/// waits behind them, so that the order is kept. So does what comes behind a permit that has no place in the log yet.
struct HeldRooms {
    struct Held {
        let relayed: Relayed
        let at: LogPosition
    }

    private struct Room {
        var queue: [Held]
        let since: BootTime
    }

    private var rooms: [Identifier: Room] = [:]
    private var count = 0
    private var bytes = 0
    private let patience: Milliseconds

    static let most = 4096
    static let mostBytes = 8 << 20

    /// - Parameter patience: how long a room may wait.
    init(patience: Milliseconds) {
        self.patience = patience
    }

    var isEmpty: Bool {
        rooms.isEmpty
    }

    func holds(_ resource: Identifier) -> Bool {
        rooms[resource] != nil
    }

    /// Keeps a message.
    /// - Returns: false where there is no room for it: the whole queue of its resource is gone.
    mutating func append(_ relayed: Relayed, at: LogPosition, now: BootTime) -> Bool {
        guard count < Self.most, bytes + relayed.weight <= Self.mostBytes else {
            drop(relayed.resource)
            return false
        }
        count += 1
        bytes += relayed.weight
        rooms[relayed.resource, default: Room(queue: [], since: now)].queue.append(Held(relayed: relayed, at: at))
        return true
    }

    private mutating func drop(_ resource: Identifier) {
        guard let room = rooms.removeValue(forKey: resource) else { return }
        count -= room.queue.count
        bytes -= room.queue.reduce(0) { $0 + $1.relayed.weight }
    }

    /// Takes what waits no more, each room's in order.
    /// - Parameter mayPass: whether what was said in a room, its sender knowing the log up to a place, may be heard.
    mutating func take(_ mayPass: (Identifier, LogPosition) -> Bool) -> [Relayed] {
        var taken: [Relayed] = []
        for (resource, room) in rooms {
            let free = room.queue.prefix { mayPass(resource, $0.at) }
            guard !free.isEmpty else { continue }
            taken += free.map(\.relayed)
            count -= free.count
            bytes -= free.reduce(0) { $0 + $1.relayed.weight }
            let rest = Array(room.queue.dropFirst(free.count))
            rooms[resource] = rest.isEmpty ? nil : Room(queue: rest, since: room.since)
        }
        return taken
    }

    /// Gives up the rooms that have waited too long.
    mutating func expire(now: BootTime) -> [Identifier] {
        let expired = rooms.filter { now.since($0.value.since) >= patience }.map(\.key)
        for resource in expired { drop(resource) }
        return expired
    }
}

import PortcullisCore
import PortcullisReactor

/// What a loop knows of the subscriptions of its rooms, and who waits for them.
struct RoomLinks {
    /// Who waits for a room's subscription.
    enum Waiter: Equatable {
        case handshake(StreamID)
        case join(StreamID)
    }

    private struct Link {
        let serial: UInt64
        var stands = false
        /// Whether it stood once and was lost: members may have missed messages.
        var wasLost = false
        var waiting: [Waiter] = []
    }

    private var links: [Identifier: Link] = [:]
    private var serial: UInt64 = 0

    var count: Int {
        links.count
    }

    /// Gives up room that is for many more rooms.
    mutating func shrink() {
        links.shrink()
    }

    func stands(_ resource: Identifier) -> Bool {
        links[resource]?.stands ?? false
    }

    /// Puts somebody in line for a subscription that does not stand.
    /// - Returns: the serial of the wish that the first loop must be told; nil where it knows.
    mutating func wait(for resource: Identifier, _ waiter: Waiter) -> UInt64? {
        if links[resource] != nil {
            links[resource]?.waiting.append(waiter)
            return nil
        }
        serial &+= 1
        links[resource] = Link(serial: serial, waiting: [waiter])
        return serial
    }

    /// The subscription stands.
    /// - Returns: who has waited for it, and whether messages may have been missed; nil where it is of no concern any more.
    mutating func stood(_ resource: Identifier, serial: UInt64) -> (waiting: [Waiter], missed: Bool)? {
        guard var link = links[resource], link.serial == serial else { return nil }
        defer { links[resource] = link }
        let result = (link.waiting, link.wasLost)
        (link.stands, link.wasLost, link.waiting) = (true, false, [])
        return result
    }

    /// The room can't be had now.
    /// - Returns: who has waited for it.
    mutating func failed(_ resource: Identifier, serial: UInt64) -> [Waiter] {
        guard links[resource]?.serial == serial else { return [] }
        defer { links[resource]?.waiting = [] }
        return links[resource]?.waiting ?? []
    }

    /// All subscriptions are lost.
    /// - Returns: who has waited for them.
    mutating func lost() -> [(resource: Identifier, waiting: [Waiter])] {
        var waiting: [(resource: Identifier, waiting: [Waiter])] = []
        for (resource, link) in links {
            if !link.waiting.isEmpty { waiting.append((resource, link.waiting)) }
            links[resource]?.waiting = []
            links[resource]?.wasLost = link.wasLost || link.stands
            links[resource]?.stands = false
        }
        return waiting
    }

    /// The room has no members.
    /// - Returns: whether nobody waits for it either, so that it is wanted no more.
    mutating func release(_ resource: Identifier) -> Bool {
        guard let link = links[resource], link.waiting.isEmpty else { return false }
        links[resource] = nil
        return true
    }
}

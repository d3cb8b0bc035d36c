/// The members of the resources that connections of one loop are bound to or have joined, with their roles.
///
/// A membership is a slab entry in two linked lists: the members of its resource and the memberships of its connection.
public struct Rooms: Sendable {
    /// What a connection may do in a room, and by which version of the permission.
    public struct Membership: Equatable, Sendable {
        public let slot: UInt32
        public let room: UInt32
        public var role: Role
        /// The version of the permission that gave the role; 0 where a claim did.
        public var version: Int64
    }

    /// A membership that has ended, in whatever way.
    public struct Ending: Equatable, Sendable {
        public let slot: UInt32
        public let resource: Identifier
    }

    private struct Node {
        var membership: Membership
        var nextInRoom: UInt32
        var previousInRoom: UInt32
        var nextOfSlot: UInt32
    }

    private struct Room {
        var resource: Identifier
        var first: UInt32 = none
        var count = 0
    }

    private static let none = UInt32.max

    private var nodes: [Node?] = []
    private var freeNodes: [UInt32] = []
    private var rooms: [Room?] = []
    private var freeRooms: [UInt32] = []
    private var byResource: [Identifier: UInt32] = [:]
    private var firstOfSlot: [UInt32] = []
    /// Resources that have lost their last member; one may have got another since.
    private var emptied: [Identifier] = []
    private let notesEndings: Bool
    private var endings: [Ending] = []

    /// - Parameter notesEndings: whether memberships that end are noted for ``takeEndings()``.
    public init(notesEndings: Bool = false) {
        self.notesEndings = notesEndings
    }

    /// How many rooms have members.
    public var count: Int {
        byResource.count
    }

    /// How many memberships there are in all of them.
    public var membershipCount: Int {
        nodes.count - freeNodes.count
    }

    /// Makes a connection a member; one that is a member already gets the role anew.
    public mutating func join(_ slot: UInt32, _ resource: Identifier, role: Role, version: Int64) {
        while firstOfSlot.count <= Int(slot) { firstOfSlot.append(Self.none) }
        let room = room(resource)
        if let known = node(slot, room) {
            nodes[Int(known)]?.membership.role = role
            nodes[Int(known)]?.membership.version = version
            return
        }
        let first = rooms[Int(room)]?.first ?? Self.none
        let node = Node(
            membership: Membership(slot: slot, room: room, role: role, version: version),
            nextInRoom: first,
            previousInRoom: Self.none,
            nextOfSlot: firstOfSlot[Int(slot)]
        )
        let index = freeNodes.popLast() ?? UInt32(nodes.count)
        if Int(index) == nodes.count { nodes.append(node) } else { nodes[Int(index)] = node }
        if first != Self.none { nodes[Int(first)]?.previousInRoom = index }
        rooms[Int(room)]?.first = index
        rooms[Int(room)]?.count += 1
        firstOfSlot[Int(slot)] = index
    }

    private mutating func room(_ resource: Identifier) -> UInt32 {
        if let known = byResource[resource] { return known }
        let index = freeRooms.popLast() ?? UInt32(rooms.count)
        if Int(index) == rooms.count { rooms.append(nil) }
        rooms[Int(index)] = Room(resource: resource)
        byResource[resource] = index
        return index
    }

    /// Ends a membership; false where there is none.
    public mutating func leave(_ slot: UInt32, _ resource: Identifier) -> Bool {
        guard let room = byResource[resource], let index = node(slot, room) else { return false }
        remove(index)
        return true
    }

    /// Ends all memberships of a connection.
    public mutating func leaveAll(_ slot: UInt32) {
        guard Int(slot) < firstOfSlot.count else { return }
        while firstOfSlot[Int(slot)] != Self.none { remove(firstOfSlot[Int(slot)]) }
    }

    private mutating func remove(_ index: UInt32) {
        guard let node = nodes[Int(index)] else { return }
        let (slot, room) = (node.membership.slot, node.membership.room)
        if notesEndings, let resource = rooms[Int(room)]?.resource {
            endings.append(Ending(slot: slot, resource: resource))
        }
        if node.previousInRoom != Self.none {
            nodes[Int(node.previousInRoom)]?.nextInRoom = node.nextInRoom
        } else {
            rooms[Int(room)]?.first = node.nextInRoom
        }
        if node.nextInRoom != Self.none { nodes[Int(node.nextInRoom)]?.previousInRoom = node.previousInRoom }
        if firstOfSlot[Int(slot)] == index {
            firstOfSlot[Int(slot)] = node.nextOfSlot
        } else {
            var before = firstOfSlot[Int(slot)]
            while before != Self.none, let next = nodes[Int(before)]?.nextOfSlot, next != index { before = next }
            if before != Self.none { nodes[Int(before)]?.nextOfSlot = node.nextOfSlot }
        }
        nodes[Int(index)] = nil
        freeNodes.append(index)
        rooms[Int(room)]?.count -= 1
        if rooms[Int(room)]?.count == 0, let resource = rooms[Int(room)]?.resource {
            byResource[resource] = nil
            emptied.append(resource)
            rooms[Int(room)] = nil
            freeRooms.append(room)
        }
    }

    private func node(_ slot: UInt32, _ room: UInt32) -> UInt32? {
        guard Int(slot) < firstOfSlot.count else { return nil }
        var index = firstOfSlot[Int(slot)]
        while index != Self.none, let node = nodes[Int(index)] {
            if node.membership.room == room { return index }
            index = node.nextOfSlot
        }
        return nil
    }

    /// Takes the resources that have no members any more. To be called often: they are kept until then.
    public mutating func takeEmptied() -> [Identifier] {
        guard !emptied.isEmpty else { return [] }
        let resources = emptied.filter { byResource[$0] == nil }
        emptied.removeAll(keepingCapacity: emptied.count <= 1024)
        return resources
    }

    /// Takes the memberships that have ended, in order. To be called before a slot is given to another connection.
    public mutating func takeEndings() -> [Ending] {
        guard !endings.isEmpty else { return [] }
        let taken = endings
        endings.removeAll(keepingCapacity: taken.count <= 1024)
        return taken
    }

    /// Gives up the room of memberships, rooms and slots at the end that are none any more.
    public mutating func shrink() {
        firstOfSlot.shrink { $0 == Self.none }
        if nodes.shrink(whileLast: { $0 == nil }) {
            let end = nodes.count
            freeNodes = freeNodes.filter { $0 < end }
        }
        if rooms.shrink(whileLast: { $0 == nil }) {
            let end = rooms.count
            freeRooms = freeRooms.filter { $0 < end }
        }
        byResource.shrink()
    }

    /// For how many memberships there is room.
    public var capacity: Int {
        nodes.capacity
    }

    /// Whether a resource has members.
    public func hasMembers(_ resource: Identifier) -> Bool {
        byResource[resource] != nil
    }

    /// How many resources a connection is a member of.
    public func memberships(of slot: UInt32) -> Int {
        var count = 0
        forEachMembership(of: slot) { _, _ in count += 1 }
        return count
    }

    /// Redis has lost its versions and counts from the start again.
    public mutating func resetVersions() {
        for index in nodes.indices { nodes[index]?.membership.version = 0 }
    }

    /// A connection's membership of a resource.
    public func membership(_ slot: UInt32, _ resource: Identifier) -> Membership? {
        guard let room = byResource[resource], let index = node(slot, room) else { return nil }
        return nodes[Int(index)]?.membership
    }

    /// Calls back for every resource that a connection is a member of.
    public func forEachMembership(of slot: UInt32, _ body: (Identifier, Membership) -> Void) {
        guard Int(slot) < firstOfSlot.count else { return }
        var index = firstOfSlot[Int(slot)]
        while index != Self.none, let node = nodes[Int(index)] {
            index = node.nextOfSlot
            if let resource = rooms[Int(node.membership.room)]?.resource { body(resource, node.membership) }
        }
    }

    /// Calls back for every member of a resource.
    public func forEachMember(of resource: Identifier, _ body: (Membership) -> Void) {
        guard let room = byResource[resource] else { return }
        var index = rooms[Int(room)]?.first ?? Self.none
        while index != Self.none, let node = nodes[Int(index)] {
            index = node.nextInRoom
            body(node.membership)
        }
    }
}

import PortcullisCore
import TestKit
import Testing

@Suite struct RoomsTests {
    struct Key: Hashable {
        let slot: UInt32
        let resource: Identifier
    }

    struct Value: Equatable {
        let role: Role
        let version: Int64
    }

    func members(_ rooms: Rooms, _ resource: Identifier) -> [UInt32: Value] {
        var found: [UInt32: Value] = [:]
        rooms.forEachMember(of: resource) { member in
            #expect(found[member.slot] == nil)
            found[member.slot] = Value(role: member.role, version: member.version)
        }
        return found
    }

    func compare(_ rooms: Rooms, _ model: [Key: Value]) {
        #expect(rooms.count == Set(model.keys.map(\.resource)).count)
        for number in 0..<12 {
            let resource = Identifier("doc:\(number)")
            let own = model.filter { $0.key.resource == resource }
            #expect(members(rooms, resource) == Dictionary(uniqueKeysWithValues: own.map { ($0.key.slot, $0.value) }))
            for slot in UInt32(0)..<25 {
                let membership = rooms.membership(slot, resource)
                let value = model[Key(slot: slot, resource: resource)]
                #expect(membership?.role == value?.role)
                #expect(membership?.version == value?.version)
                if let membership { #expect(membership.slot == slot) }
            }
        }
    }

    @Test(arguments: [21, 22, 23]) func agreeWithADictionary(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var rooms = Rooms()
        var model: [Key: Value] = [:]
        for step in 0..<6000 {
            let slot = UInt32.random(in: 0..<20, using: &generator)
            let resource = Identifier("doc:\(Int.random(in: 0..<12, using: &generator))")
            let key = Key(slot: slot, resource: resource)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0...8:
                let value = Value(role: Role(rank: UInt8.random(in: 0..<4, using: &generator)), version: Int64(step))
                rooms.join(slot, resource, role: value.role, version: value.version)
                model[key] = value
            case 9...17:
                #expect(rooms.leave(slot, resource) == (model[key] != nil))
                model[key] = nil
            default:
                rooms.leaveAll(slot)
                model = model.filter { $0.key.slot != slot }
            }
            if step % 60 == 0 { compare(rooms, model) }
        }
        for slot in UInt32(0)..<25 { rooms.leaveAll(slot) }
        compare(rooms, [:])
    }

    /// Told once; and not where there are members again.
    @Test func roomsThatAreEmptiedAreTold() {
        var rooms = Rooms()
        let role = Role(rank: 0)
        rooms.join(0, "a", role: role, version: 0)
        rooms.join(1, "a", role: role, version: 0)
        rooms.join(0, "b", role: role, version: 0)
        #expect(rooms.memberships(of: 0) == 2)
        rooms.leaveAll(0)
        #expect(rooms.memberships(of: 0) == 0)
        #expect(rooms.takeEmptied() == ["b"])
        #expect(rooms.takeEmptied() == [])
        #expect(rooms.leave(1, "a") == true)
        rooms.join(2, "a", role: role, version: 0)
        #expect(rooms.hasMembers("a") && !rooms.hasMembers("b"))
        #expect(rooms.takeEmptied() == [])
    }

    /// In whatever way they end, once each and in order; none where nobody asked for it.
    @Test func endingsAreNoted() {
        var (rooms, deaf) = (Rooms(notesEndings: true), Rooms())
        let role = Role(rank: 0)
        for (slot, resource) in [(0, "a"), (1, "a"), (0, "b"), (0, "c")] as [(UInt32, Identifier)] {
            rooms.join(slot, resource, role: role, version: 0)
            deaf.join(slot, resource, role: role, version: 0)
        }
        // A role that changes ends nothing, and neither does what never was.
        rooms.join(0, "a", role: Role(rank: 1), version: 1)
        #expect(rooms.leave(1, "b") == false)
        #expect(rooms.takeEndings() == [])
        #expect(rooms.leave(0, "b") == true)
        rooms.join(0, "b", role: role, version: 0)
        #expect(rooms.leave(1, "a") == true)
        rooms.leaveAll(1)
        let endings = rooms.takeEndings()
        #expect(endings.map(\.slot) == [0, 1] && endings.map(\.resource) == ["b", "a"])
        rooms.leaveAll(0)
        rooms.leaveAll(0)
        let left = rooms.takeEndings()
        #expect(left.map(\.slot) == [0, 0, 0] && Set(left.map(\.resource)) == ["a", "b", "c"])
        #expect(rooms.takeEndings() == [])
        deaf.leaveAll(0)
        #expect(deaf.takeEndings() == [])
    }

    @Test func aRoomLivesAsLongAsItsMembers() {
        var rooms = Rooms()
        #expect(rooms.leave(0, "doc:1") == false)
        rooms.leaveAll(9)
        rooms.join(0, "doc:1", role: Role(rank: 0), version: 0)
        rooms.join(1, "doc:1", role: Role(rank: 2), version: 5)
        rooms.join(0, "doc:1", role: Role(rank: 3), version: 6)
        #expect(members(rooms, "doc:1").mapValues(\.version) == [0: 6, 1: 5])
        #expect(rooms.leave(0, "doc:1") == true)
        #expect(rooms.count == 1)
        #expect(rooms.membership(0, "doc:1") == nil)
        #expect(rooms.leave(1, "doc:1") == true)
        #expect(rooms.count == 0)
        // Other bytes, another room: no prefix and no normal form is taken for it.
        rooms.join(0, "doc:\u{E9}", role: Role(rank: 0), version: 0)
        #expect(rooms.membership(0, "doc:e\u{301}") == nil)
        #expect(rooms.membership(0, "doc:") == nil)
    }
}

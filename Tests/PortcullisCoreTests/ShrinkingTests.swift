import PortcullisCore
import TestKit
import Testing

/// Tables that grew with a crowd become small when it has gone, and whoever is left does not notice.
@Suite struct ShrinkingTests {
    private static let crowd = UInt32(20_000)
    /// Those who stay; the last of them is where the tables may end.
    private static let stay: [UInt32] = [0, 1, 17, 400, 2999]

    private func identity(_ slot: UInt32) -> Identity {
        Identity(user: Identifier("u\(slot % 7000)"), ids: [.session: Identifier("s\(slot)")])
    }

    private func isThere(_ registry: borrowing Registry, _ slot: UInt32) -> Bool {
        var found = false
        registry.forEach(.session, Identifier("s\(slot)")) { other, _ in found = found || other == slot }
        var isFoundByUser = false
        registry.forEach(.user, Identifier("u\(slot % 7000)")) { other, _ in
            isFoundByUser = isFoundByUser || other == slot
        }
        return found && isFoundByUser && registry.state(slot) != nil
    }

    @Test func registry() {
        var registry = Registry()
        for round in 0..<3 {
            for slot in 0..<Self.crowd where round == 0 || !Self.stay.contains(slot) {
                #expect(registry.register(slot, identity(slot), presented: ms(0)) == true)
            }
            let most = registry.capacity
            registry.shrink()
            #expect(registry.capacity == most)
            for slot in 0..<Self.crowd where !Self.stay.contains(slot) { registry.remove(slot) }
            registry.shrink()
            #expect(registry.capacity < 4096)
            #expect(registry.count == Self.stay.count)
            for slot in Self.stay { #expect(isThere(registry, slot) == true) }
            // What names a slot that is gone finds nobody.
            #expect(registry.identity(Self.crowd - 1) == nil && registry.state(Self.crowd - 1) == nil)
            registry.remove(Self.crowd - 1)
            #expect(registry.update(Self.crowd - 1, identity(1)) == false)
        }
    }

    @Test func wheel() {
        let start = boot(ms: 0)
        var wheel = SweepWheel(now: start)
        for _ in 0..<3 {
            for slot in 0..<Self.crowd { wheel.set(slot, at: start + Milliseconds(Int64(slot) + 60_000)) }
            wheel.shrink()
            #expect(wheel.capacity >= Int(Self.crowd))
            for slot in 0..<Self.crowd where !Self.stay.contains(slot) { wheel.remove(slot) }
            wheel.shrink()
            #expect(wheel.capacity < 4096 && wheel.count == Self.stay.count)
            wheel.remove(Self.crowd - 1)
        }
        var due: [UInt32] = []
        wheel.due(now: start + Milliseconds(100_000), limit: .max, into: &due)
        #expect(due.sorted() == Self.stay)
    }

    @Test func rooms() {
        var rooms = Rooms()
        let role = RoleOrder.standard.viewer
        func room(_ slot: UInt32) -> Identifier { Identifier("doc:\(slot / 2)") }
        for _ in 0..<3 {
            for slot in 0..<Self.crowd { rooms.join(slot, room(slot), role: role, version: Int64(slot)) }
            for slot in 0..<Self.crowd where !Self.stay.contains(slot) { rooms.leaveAll(slot) }
            _ = rooms.takeEmptied()
            rooms.shrink()
            #expect(rooms.capacity < 4096)
            #expect(rooms.membershipCount == Self.stay.count)
            for slot in Self.stay { #expect(rooms.membership(slot, room(slot))?.version == Int64(slot)) }
            #expect(rooms.membership(Self.crowd - 1, room(Self.crowd - 1)) == nil)
            #expect(rooms.leave(Self.crowd - 1, room(0)) == false)
            rooms.leaveAll(Self.crowd - 1)
        }
        var members: [UInt32] = []
        rooms.forEachMember(of: room(0)) { members.append($0.slot) }
        #expect(members.sorted() == [0, 1])
    }

    @Test func slab() {
        var slab = Slab<Int>()
        for _ in 0..<3 {
            let slots = (0..<20_000).map { slab.insert($0) }
            let stays = slots.min() ?? 0
            for slot in slots where slot != stays { slab.remove(slot) }
            slab.shrink()
            #expect(slab.end < 2048)
            #expect(slab[stays] != nil)
        }
        #expect(slab.count == 3)
        // No slot is given twice.
        var given: Set<Int> = []
        for number in 0..<3000 { given.insert(slab.insert(number)) }
        #expect(given.count == 3000 && slab.count == 3003)
    }

    /// Sources are forgotten when nothing of them counts any more, not before.
    @Test func sources() {
        let limits = AddressThrottle.Limits(failuresPerMinute: 2, handshakesPerSecond: 0, connections: 5)
        var throttle = AddressThrottle(limits: limits)
        func source(_ number: UInt32) -> AddressThrottle.Source { .init(IPAddress(v4: 0x0B00_0000 + number)) }
        for number in UInt32(0)..<5000 { #expect(throttle.enter(source(number), now: boot(ms: 1000)) == .admitted) }
        for number in UInt32(1)..<5000 { throttle.left(source(number)) }
        for _ in 0..<2 { throttle.failed(source(7), now: boot(ms: 30_000)) }
        for _ in 0..<10 { throttle.forget(now: boot(ms: 1500)) }
        #expect(throttle.count == 5000)
        // Their handshakes are a second ago and longer; one has a connection, one has failed.
        throttle.forget(now: boot(ms: 31_000), limit: 100)
        #expect(throttle.count == 4900)
        for _ in 0..<10 { throttle.forget(now: boot(ms: 31_000)) }
        #expect(throttle.count == 2)
        #expect(throttle.enter(source(7), now: boot(ms: 31_000)) != .admitted)
        for _ in 0..<4 { #expect(throttle.enter(source(0), now: boot(ms: 31_000)) == .admitted) }
        #expect(throttle.enter(source(0), now: boot(ms: 31_000)) == .tooManyConnections)
        throttle.forget(now: boot(ms: 200_000))
        #expect(throttle.count == 1)
        for number in UInt32(1)..<3000 { #expect(throttle.enter(source(number), now: boot(ms: 200_000)) == .admitted) }
        #expect(throttle.count == 3000)
    }
}

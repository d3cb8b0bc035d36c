import PortcullisCore
import TestKit
import Testing

@Suite struct RegistryTests {
    struct Known: Equatable {
        var user: Identifier
        var session: Identifier?
        var token: Identifier?
        var state = Registry.State.pending
        var presented: WallTime
    }

    static func identity(_ known: Known) -> Identity {
        var ids: [Identity.Field: Identifier] = [:]
        ids[.session] = known.session
        ids[.token] = known.token
        return Identity(user: known.user, ids: ids)
    }

    static func random(_ step: Int, _ generator: inout SeededGenerator) -> Known {
        func id(_ letter: String, _ count: Int) -> Identifier {
            Identifier("\(letter)\(Int.random(in: 0..<count, using: &generator))")
        }
        return Known(
            user: id("u", 40),
            session: Bool.random(using: &generator) ? id("s", 60) : nil,
            token: Bool.random(using: &generator) ? id("t", 200) : nil,
            presented: ms(Int64(step))
        )
    }

    static func slots(_ registry: borrowing Registry, _ field: Identity.Field, _ id: Identifier) -> [UInt32] {
        var list: [UInt32] = []
        registry.forEach(field, id) { slot, identity in
            #expect(identity[field] == id)
            list.append(slot)
        }
        return list.sorted()
    }

    func compare(_ registry: borrowing Registry, _ model: [UInt32: Known]) {
        #expect(registry.count == model.count)
        for number in 0..<40 {
            let user = Identifier("u\(number)")
            let own = model.filter { $0.value.user == user }.keys.sorted()
            #expect(Self.slots(registry, .user, user) == own)
            #expect(registry.hasConnections(of: user) == !own.isEmpty)
            #expect(registry.hasConnections(ofUserOf: Identity(user: user, ids: [.token: "another"])) == !own.isEmpty)
        }
        for number in 0..<60 {
            let session = Identifier("s\(number)")
            #expect(
                Self.slots(registry, .session, session) == model.filter { $0.value.session == session }.keys.sorted()
            )
        }
        for number in 0..<200 {
            let token = Identifier("t\(number)")
            #expect(Self.slots(registry, .token, token) == model.filter { $0.value.token == token }.keys.sorted())
        }
        for slot in UInt32(0)..<320 {
            #expect(registry.state(slot) == model[slot]?.state)
            #expect(registry.presented(slot) == model[slot]?.presented)
            #expect(registry.identity(slot)?.user == model[slot]?.user)
        }
    }

    @Test(arguments: [11, 12, 13]) func agreesWithADictionary(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var registry = Registry()
        var model: [UInt32: Known] = [:]
        for step in 0..<8000 {
            let slot = UInt32.random(in: 0..<300, using: &generator)
            // First mostly entering, later mostly leaving.
            switch Int.random(in: step < 5000 ? -3..<10 : 2..<16, using: &generator) {
            case ...(-1),
                3 where step >= 5000:
                var known = Self.random(step, &generator)
                // Mostly of the same user.
                if let user = model[slot]?.user, !step.isMultiple(of: 7) { known.user = user }
                let takes = model[slot]?.user == known.user
                #expect(registry.update(slot, Self.identity(known), presented: known.presented) == takes)
                guard takes, let state = model[slot]?.state else { break }
                known.state = state
                model[slot] = known
            case 0...4:
                let known = Self.random(step, &generator)
                #expect(
                    registry.register(slot, Self.identity(known), presented: known.presented) == (model[slot] == nil)
                )
                if model[slot] == nil { model[slot] = known }
            case 5...6:
                #expect(registry.admit(slot) == (model[slot]?.state == .pending))
                if model[slot]?.state == .pending { model[slot]?.state = .live }
            case 7:
                let marks = model[slot].map { $0.state != .condemned } ?? false
                #expect(registry.condemn(slot) == marks)
                model[slot]?.state = .condemned
            default:
                registry.remove(slot)
                model[slot] = nil
            }
            if step % 400 == 0 { compare(registry, model) }
        }
        for slot in UInt32(0)..<300 {
            registry.remove(slot)
            model[slot] = nil
        }
        compare(registry, model)
    }

    @Test func theLifeOfAnEntry() {
        var registry = Registry()
        let identity = Identity(user: "alice", ids: [.token: "t1"])
        #expect(registry.admit(3) == false)
        #expect(registry.condemn(3) == false)
        #expect(registry.register(3, identity, presented: ms(7)) == true)
        #expect(registry.state(3) == .pending)
        #expect(registry.register(3, Identity(user: "mallory"), presented: ms(8)) == false)
        #expect(registry.identity(3)?.user == "alice")
        // Found while pending: a decision that comes between entry and check must reach it.
        #expect(Self.slots(registry, .user, "alice") == [3])
        #expect(registry.condemn(3) == true)
        #expect(registry.condemn(3) == false)
        #expect(registry.admit(3) == false)
        #expect(registry.state(3) == .condemned)
        #expect(Self.slots(registry, .token, "t1") == [3])
        registry.remove(3)
        registry.remove(3)
        #expect(registry.state(3) == nil)
        #expect(registry.presented(3) == nil)
        #expect(registry.count == 0)
        #expect(registry.register(3, Identity(user: "bob"), presented: ms(9)) == true)
        #expect(Self.slots(registry, .token, "t1").isEmpty)
        #expect(registry.hasConnections(of: "alice") == false)
    }

    /// Another credential of the same user: found by its ids, and no more by those of the one before.
    @Test func updatesMoveTheKeys() {
        var registry = Registry()
        let entered = Identity(user: "alice", ids: [.session: "s1"], expires: ms(10))
        for slot in UInt32(0)..<2 { #expect(registry.register(slot, entered, presented: ms(1)) == true) }
        #expect(registry.admit(0) == true)
        let same = Identity(user: "alice", ids: [.session: "s1", .device: "d1"], expires: ms(20))
        #expect(registry.update(0, same) == true)
        #expect(registry.identity(0)?.expires == ms(20))
        #expect(registry.identity(0)?[.device] == "d1")
        #expect(registry.presented(0) == ms(1))
        #expect(registry.update(0, Identity(user: "bob", ids: [.session: "s1"])) == false)
        #expect(registry.identity(0)?.user == "alice")
        let token = Identity(user: "alice", ids: [.session: "s2", .token: "t1"])
        #expect(registry.update(0, token, presented: ms(5)) == true)
        #expect(registry.presented(0) == ms(5))
        #expect(registry.state(0) == .live)
        #expect(Self.slots(registry, .session, "s1") == [1])
        #expect(Self.slots(registry, .session, "s2") == [0])
        #expect(Self.slots(registry, .token, "t1") == [0])
        #expect(Self.slots(registry, .user, "alice") == [0, 1])
        #expect(registry.update(0, Identity(user: "alice", ids: [.token: "t2"])) == true)
        #expect(Self.slots(registry, .session, "s2").isEmpty)
        #expect(Self.slots(registry, .token, "t1").isEmpty)
        #expect(Self.slots(registry, .token, "t2") == [0])
        #expect(registry.update(2, entered) == false)
        #expect(registry.state(2) == nil)
        registry.remove(0)
        #expect(Self.slots(registry, .token, "t2").isEmpty)
        registry.remove(1)
        #expect(Self.slots(registry, .session, "s1").isEmpty)
        #expect(registry.count == 0)
    }

    @Test func candidatesAreThoseOfTheNarrowestID() {
        var registry = Registry()
        let all = [
            Identity(user: "alice", ids: [.session: "s1", .token: "t1"]),
            Identity(user: "alice", ids: [.session: "s1", .token: "t2"]),
            Identity(user: "alice", ids: [.session: "s2"]), Identity(user: "bob", ids: [.tenant: "acme"]),
        ]
        for (slot, identity) in all.enumerated() {
            #expect(registry.register(UInt32(slot), identity, presented: ms(0)) == true)
        }
        func candidates(_ select: Selector) -> [UInt32] {
            var list: [UInt32] = []
            registry.forEachCandidate(select) { slot, _ in list.append(slot) }
            return list.sorted()
        }
        #expect(candidates(Selector(ids: [.user: "alice"])) == [0, 1, 2])
        #expect(candidates(Selector(ids: [.user: "alice", .session: "s1"])) == [0, 1])
        #expect(candidates(Selector(ids: [.user: "alice", .session: "s1", .token: "t2"])) == [1])
        #expect(candidates(Selector(ids: [.user: "nobody"])).isEmpty)
        #expect(candidates(Selector(ids: [.tenant: "acme"])) == [0, 1, 2, 3])
        #expect(candidates(Selector(all: true)) == [0, 1, 2, 3])
    }
}

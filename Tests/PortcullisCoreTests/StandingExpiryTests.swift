import PortcullisCore
import TestKit
import Testing

@Suite struct StandingExpiryTests {
    static let alice = Identity(user: "alice", ids: [.session: "s1", .token: "t1"])
    static let hour: Int64 = 3_600_000

    /// A revocation that can match a session stands as long as one may live, one of a token as long as the log.
    @Test func withoutATimeOfTheirOwn() {
        var replica = Replica()
        replica.revoke(Selector(ids: [.token: "t1"]), before: .never, order: 1000)
        #expect(replica.verdict(Self.alice, now: ms(999 + 25 * Self.hour)) == .revoked)
        #expect(replica.verdict(Self.alice, now: ms(1000 + 25 * Self.hour)) == nil)
        replica.revoke(user("alice"), order: 1000)
        #expect(replica.verdict(Self.alice, now: ms(999 + 720 * Self.hour)) == .revoked)
        #expect(replica.verdict(Self.alice, now: ms(1000 + 720 * Self.hour)) == nil)
    }

    @Test func theirOwnTime() {
        var replica = Replica()
        replica.revoke(user("alice"), expires: ms(8000), order: 1000)
        #expect(replica.verdict(Self.alice, now: ms(7999)) == .revoked)
        #expect(replica.verdict(Self.alice, now: ms(8000)) == nil)
    }

    @Test func aBlockWithoutAnEndStandsForEver() {
        var replica = Replica()
        replica.block(user("alice"), order: 1000)
        replica.standing.expire(now: ms(.max))
        #expect(replica.standing.count == 1)
        #expect(replica.verdict(Self.alice, now: ms(.max)) == .blocked)
    }

    @Test func expiryForgetsWhatHasEndedAndNothingElse() {
        var replica = Replica()
        replica.revoke(user("alice"), expires: ms(Self.hour + 1), as: "e1", order: 1)
        replica.revoke(user("bob"), expires: ms(3 * Self.hour), as: "e2", order: 2)
        replica.block(user("carol"), as: "b1", order: 3)
        replica.standing.expire(now: ms(Self.hour))
        #expect(replica.standing.count == 3)
        replica.standing.expire(now: ms(2 * Self.hour))
        #expect(replica.standing.holds("e1") == false)
        #expect(replica.standing.count == 2)
        replica.standing.expire(now: ms(4 * Self.hour))
        #expect(replica.standing.holds("e2") == false)
        #expect(replica.standing.holds("b1") == true)
    }

    /// The time it is forgotten at is that of its last taking up, not of its first.
    @Test func takenUpAgainItStandsAnew() {
        var replica = Replica()
        replica.revoke(user("alice"), expires: ms(Self.hour), order: 1)
        replica.revoke(user("alice"), expires: ms(9 * Self.hour), order: 2)
        replica.standing.expire(now: ms(5 * Self.hour))
        #expect(replica.standing.holds("e1") == true)
        replica.standing.expire(now: ms(11 * Self.hour))
        #expect(replica.standing.count == 0)
    }

    @Test func aStepBackOfTheClockForgetsNothing() {
        var replica = Replica()
        replica.standing.expire(now: ms(100 * Self.hour))
        replica.revoke(user("alice"), expires: ms(3 * Self.hour), order: 1)
        replica.standing.expire(now: ms(2 * Self.hour))
        #expect(replica.standing.holds("e1") == true)
        #expect(replica.verdict(Self.alice, now: ms(2 * Self.hour)) == .revoked)
        replica.standing.expire(now: ms(101 * Self.hour))
        #expect(replica.standing.holds("e1") == false)
    }

    @Test func aLiftOutlivesALateArrival() {
        var replica = Replica()
        replica.lift("e1", order: 1000)
        replica.revoke(user("alice"), as: "e1", order: 900)
        #expect(replica.verdict(Self.alice, now: ms(2000)) == nil)
        replica.revoke(user("alice"), as: "e2", order: 900)
        #expect(replica.verdict(Self.alice, now: ms(2000)) == .revoked)
        replica.standing.expire(now: ms(29 * 24 * Self.hour))
        replica.revoke(user("alice"), as: "e1", order: 900)
        #expect(replica.standing.holds("e1") == false)
    }

    /// The orders come from messages that anybody who may publish can write.
    @Test func extremeOrders() {
        var replica = Replica()
        for (event, order) in [("a", Int64.max), ("b", Int64.min)] {
            replica.revoke(user("alice"), as: Identifier(event), order: order)
            replica.block(user("bob"), as: Identifier("b\(event)"), order: order)
            replica.unblock(user("bob"), order: order)
            replica.lift("x", order: order)
        }
        replica.standing.expire(now: ms(.max))
        replica.standing.expire(now: ms(.min))
        #expect(replica.verdict(Identity(user: "bob")) == nil)
    }

    /// Random decisions against a list that is searched from end to end.
    @Test(arguments: [61, 62]) func agreesWithAList(_ seed: UInt64) {
        struct Known {
            let select: Selector
            let covers: Int64
            let expires: Int64
        }
        var generator = SeededGenerator(seed: seed)
        var replica = Replica()
        var model: [Identifier: Known] = [:]
        func id(_ letter: String) -> Identifier {
            Identifier("\(letter)\(Int.random(in: 0..<6, using: &generator))")
        }
        for step in 1..<4000 {
            let now = Int64(step) * 200_000
            let event = Identifier("e\(Int.random(in: 0..<300, using: &generator))")
            var ids: [Identity.Field: Identifier] = [:]
            for (field, letter) in [(Identity.Field.user, "u"), (.session, "s"), (.token, "t"), (.tenant, "n")]
            where Int.random(in: 0..<3, using: &generator) == 0 { ids[field] = id(letter) }
            if !ids.isEmpty {
                let known = Known(
                    select: Selector(ids: ids),
                    covers: now,
                    expires: now + Int64.random(in: 0..<20_000_000, using: &generator)
                )
                replica.revoke(known.select, expires: ms(known.expires), as: event, order: now)
                model[event] = known
            }
            let identity = Identity(
                user: id("u"),
                ids: [.session: id("s"), .token: id("t"), .tenant: id("n")],
                issued: ms(Int64.random(in: 0...now, using: &generator))
            )
            let stands = model.values.contains { known in
                known.expires > now && known.select.ids.allSatisfy { identity[$0.key] == $0.value }
                    && identity.issued.map { $0.milliseconds <= known.covers } ?? true
            }
            #expect(replica.verdict(identity, presented: ms(now), now: ms(now)) == (stands ? .revoked : nil))
            replica.standing.expire(now: ms(now))
        }
    }
}

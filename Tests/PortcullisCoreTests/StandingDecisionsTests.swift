import PortcullisCore
import Testing

/// A replica with the words of a transcript.
struct Replica: ~Copyable {
    var standing = StandingDecisions(
        lifetimes: .init(retention: .seconds(25 * 3600), longestSession: .seconds(30 * 86400))
    )
    var now = ms(100_000)

    mutating func revoke(
        _ select: Selector,
        except: Selector? = nil,
        before: Decision.IssuedBefore = .append,
        expires: WallTime? = nil,
        as event: Identifier = "e1",
        order: Int64
    ) {
        let revocation = Decision.Revocation(select: select, except: except, issuedBefore: before, expires: expires)
        standing.apply(.revoke(revocation), event: event, order: order)
    }

    mutating func block(
        _ select: Selector,
        except: Selector? = nil,
        until: WallTime? = nil,
        as event: Identifier = "b1",
        order: Int64
    ) {
        standing.apply(.block(select, except: except, until: until), event: event, order: order)
    }

    mutating func unblock(_ select: Selector, as event: Identifier = "u1", order: Int64) {
        standing.apply(.unblock(select), event: event, order: order)
    }

    mutating func lift(_ event: Identifier, order: Int64) {
        standing.apply(.lift(event: event), event: "l1", order: order)
    }

    func verdict(
        _ identity: Identity,
        from address: String? = nil,
        presented: WallTime? = nil,
        now: WallTime? = nil
    ) -> StandingDecisions.Verdict? {
        standing.verdict(
            on: identity,
            from: address.flatMap { IPAddress($0) },
            presented: presented ?? self.now,
            now: now ?? self.now
        )
    }
}

func user(_ id: Identifier) -> Selector {
    Selector(ids: [.user: id])
}

@Suite struct IssueTimeTests {
    static let t: Int64 = 1_700_000_000_123

    func alice(issued: Int64?) -> Identity {
        Identity(user: "alice", issued: issued.map(ms))
    }

    /// By default what was issued up to the append is covered, and nothing later: the user may sign in again.
    @Test(arguments: [
        (Self.t - 86_400_000, true), (Self.t - 1, true), (Self.t, true), (Self.t + 1, false), (Self.t + 1000, false),
        // A whole-second `iat` of the same second counts as before it, one of the next does not.
        (1_700_000_000_000, true), (1_700_000_001_000, false),
    ])
    func byDefaultUpToTheAppend(_ issued: Int64, _ covered: Bool) {
        var replica = Replica(now: ms(Self.t + 10_000))
        replica.revoke(user("alice"), order: Self.t)
        #expect(replica.verdict(alice(issued: issued)) == (covered ? .revoked : nil))
    }

    @Test func aCredentialOfUnknownAgeIsCovered() {
        var replica = Replica(now: ms(Self.t + 10_000))
        replica.revoke(user("alice"), order: Self.t)
        #expect(replica.verdict(alice(issued: nil)) == .revoked)
        replica.revoke(user("alice"), before: .time(ms(5)), order: Self.t)
        #expect(replica.verdict(alice(issued: nil)) == .revoked)
    }

    @Test func byAGivenTime() {
        var replica = Replica(now: ms(Self.t + 10_000))
        replica.revoke(user("alice"), before: .time(ms(Self.t - 5000)), order: Self.t)
        #expect(replica.verdict(alice(issued: Self.t - 5000)) == .revoked)
        #expect(replica.verdict(alice(issued: Self.t - 4999)) == nil)
    }

    @Test func neverMeansWhatIsIssuedLaterToo() {
        var replica = Replica(now: ms(Self.t + 99_000))
        replica.revoke(user("alice"), before: .never, order: Self.t)
        #expect(replica.verdict(alice(issued: Self.t + 90_000)) == .revoked)
    }

    /// An issuer whose clock is ahead gives no immunity: a credential was issued no later than it was shown.
    @Test func issuedNoLaterThanPresented() {
        var replica = Replica(now: ms(Self.t + 10_000))
        replica.revoke(user("alice"), order: Self.t)
        let ahead = alice(issued: Self.t + 60_000)
        #expect(replica.verdict(ahead, presented: ms(Self.t - 1)) == .revoked)
        #expect(replica.verdict(ahead, presented: ms(Self.t)) == .revoked)
        #expect(replica.verdict(ahead, presented: ms(Self.t + 1)) == nil)
    }

    @Test func issueTimeByItself() {
        #expect(alice(issued: 10).wasIssued(upTo: nil, presented: ms(0)))
        #expect(alice(issued: 10).wasIssued(upTo: ms(10), presented: ms(99)))
        #expect(!alice(issued: 11).wasIssued(upTo: ms(10), presented: ms(99)))
        #expect(alice(issued: 11).wasIssued(upTo: ms(10), presented: ms(10)))
        #expect(alice(issued: nil).wasIssued(upTo: ms(.min), presented: ms(99)))
    }

    /// `auth_time` counts, not the issue: a fresh token of an old login does not do.
    @Test func reauthentication() {
        var replica = Replica(now: ms(Self.t + 10_000))
        replica.standing.apply(
            .reauthenticate(user("alice"), except: Selector(ids: [.device: "d1"]), within: .seconds(60)),
            event: "r1",
            order: Self.t
        )
        func verdict(_ authenticated: Int64?, device: Identifier? = nil) -> StandingDecisions.Verdict? {
            var ids: [Identity.Field: Identifier] = [:]
            ids[.device] = device
            return replica.verdict(
                Identity(user: "alice", ids: ids, issued: ms(Self.t + 9), authenticated: authenticated.map(ms))
            )
        }
        #expect(verdict(nil) == .reauthenticationRequired)
        #expect(verdict(Self.t - 1) == .reauthenticationRequired)
        #expect(verdict(Self.t) == nil)
        #expect(verdict(Self.t + 1) == nil)
        #expect(verdict(nil, device: "d1") == nil)
        #expect(verdict(nil, device: "d2") == .reauthenticationRequired)
        #expect(replica.verdict(Identity(user: "bob")) == nil)
    }
}

@Suite struct StandingDecisionsTests {
    @Test func whatWasOnlyPublishedAndIsInTheLogIsNotTakenUpAnew() {
        let (now, user) = (WallTime(milliseconds: 10_000), Identifier("alice"))
        let decision = Decision.revoke(.init(select: Selector(ids: [.user: user]), issuedBefore: .append))
        func bare(_ id: Identifier?, _ order: Int64) -> LoggedEvent {
            LoggedEvent(key: id ?? "h:1", order: order, event: Event(id: id, decision: decision))
        }
        func revokes(_ standing: borrowing StandingDecisions, issued: Int64) -> Bool {
            let identity = Identity(user: user, issued: WallTime(milliseconds: issued))
            return standing.verdict(on: identity, from: nil, presented: now, now: now) == .revoked
        }
        var standing = StandingDecisions()
        let isNew = standing.applyBare(bare("b", 1000))
        // Repeated before the log has it: still a guess.
        let isStillAGuess = standing.applyBare(bare("b", 1100))
        standing.apply(bare("b", 1200))
        let isEnforcedAnew = standing.applyBare(bare("b", 9000))
        #expect(isNew && isStillAGuess && !isEnforcedAnew)
        #expect(revokes(standing, issued: 1200) == true)
        #expect(revokes(standing, issued: 1201) == false)
        // An id that is made of the payload does not tell a repetition from a new decision.
        standing.apply(bare(nil, 1300))
        let isANewDecision = standing.applyBare(bare(nil, 9000))
        #expect(isANewDecision)
    }

    static let alice = Identity(user: "alice", issued: ms(1))

    @Test func nothingStandsAtFirst() {
        #expect(Replica().verdict(Self.alice) == nil)
        #expect(Replica().standing.count == 0)
    }

    @Test func everyFieldMustMatch() {
        var replica = Replica()
        replica.revoke(Selector(ids: [.user: "alice", .tenant: "acme", .device: "d1"]), order: 10)
        #expect(replica.verdict(Identity(user: "alice", ids: [.tenant: "acme", .device: "d1"])) == .revoked)
        for other in [
            Identity(user: "alice", ids: [.tenant: "acme"]), Identity(user: "alice", ids: [.device: "d1"]),
            Identity(user: "bob", ids: [.tenant: "acme", .device: "d1"]),
            Identity(user: "alice", ids: [.tenant: "acme", .device: "d2"]),
        ] {
            #expect(replica.verdict(other) == nil)
        }
    }

    @Test(arguments: Identity.Field.allCases) func byAnyField(_ field: Identity.Field) {
        var replica = Replica()
        replica.revoke(Selector(ids: [field: "x"]), before: .never, order: 10)
        #expect(replica.verdict(Identity(user: field == .user ? "x" : "alice", ids: [field: "x"])) == .revoked)
        #expect(replica.verdict(Identity(user: field == .user ? "y" : "x", ids: [field: "y"])) == nil)
        #expect(replica.verdict(Identity(user: "y")) == nil)
    }

    @Test func theWorstIsSaid() {
        var replica = Replica()
        replica.standing.apply(.reauthenticate(user("alice"), except: nil, within: .seconds(9)), event: "r", order: 10)
        #expect(replica.verdict(Self.alice) == .reauthenticationRequired)
        replica.revoke(Selector(all: true), order: 11)
        #expect(replica.verdict(Self.alice) == .revoked)
        replica.block(user("alice"), order: 12)
        #expect(replica.verdict(Self.alice) == .blocked)
        replica.lift("b1", order: 13)
        #expect(replica.verdict(Self.alice) == .revoked)
        replica.lift("e1", order: 14)
        #expect(replica.verdict(Self.alice) == .reauthenticationRequired)
        replica.lift("r", order: 15)
        #expect(replica.verdict(Self.alice) == nil)
        #expect(replica.standing.count == 0)
    }

    @Test func outcomes() {
        #expect(StandingDecisions.Verdict.revoked.outcome == .revoked)
        #expect(StandingDecisions.Verdict.blocked.outcome == .blocked)
        #expect(StandingDecisions.Verdict.reauthenticationRequired.outcome == .reauthenticationRequired)
    }

    @Test func allAndItsExceptions() {
        var replica = Replica()
        replica.revoke(Selector(all: true), except: Selector(ids: [.session: "mine"]), order: 10)
        #expect(replica.verdict(Self.alice) == .revoked)
        #expect(replica.verdict(Identity(user: "alice", ids: [.session: "mine"])) == nil)
        #expect(replica.verdict(Identity(user: "alice", ids: [.session: "min"])) == .revoked)
    }

    @Test func exceptionsMustMatchWhole() {
        var replica = Replica()
        replica.revoke(user("alice"), except: Selector(ids: [.session: "s1", .device: "d1"]), order: 10)
        #expect(replica.verdict(Identity(user: "alice", ids: [.session: "s1", .device: "d1"])) == nil)
        #expect(replica.verdict(Identity(user: "alice", ids: [.session: "s1"])) == .revoked)
    }

    @Test func addresses() {
        var replica = Replica()
        replica.block(Selector(network: IPNetwork("192.0.2.0/24")), order: 10)
        #expect(replica.verdict(Self.alice, from: "192.0.2.9") == .blocked)
        #expect(replica.verdict(Self.alice, from: "::ffff:192.0.2.9") == .blocked)
        #expect(replica.verdict(Self.alice, from: "192.0.3.9") == nil)
        #expect(replica.verdict(Self.alice, from: nil) == nil)
        replica.block(Selector(ids: [.user: "bob"], network: IPNetwork("2001:db8::/32")), as: "b2", order: 11)
        #expect(replica.verdict(Identity(user: "bob"), from: "2001:db8::1") == .blocked)
        #expect(replica.verdict(Identity(user: "bob"), from: "2001:db9::1") == nil)
        #expect(replica.verdict(Self.alice, from: "2001:db8::1") == nil)
    }

    @Test func whatIsNotADecisionAgainstACredentialStandsNot() {
        var replica = Replica()
        let permit = Decision.Permit(user: "alice", resource: "doc:1", role: nil, version: nil)
        replica.standing.apply(.permit(permit), event: "p", order: 1)
        replica.standing.apply(.notify(user("alice"), except: nil, data: []), event: "n", order: 2)
        replica.standing.apply(.disconnect(user("alice"), except: nil, code: 1000, reason: nil), event: "d", order: 3)
        #expect(replica.standing.count == 0)
        #expect(replica.verdict(Self.alice) == nil)
    }

    /// A selector that names a connection matches no credential, not everything.
    @Test func aConnectionSelectorMatchesNobody() {
        var replica = Replica()
        replica.revoke(Selector(resource: "doc:1"), order: 10)
        replica.revoke(Selector(), as: "e2", order: 11)
        #expect(replica.verdict(Self.alice) == nil)
    }

    /// Enforced off the channel first, then met in the log with the order that Redis gave it.
    @Test func aRepeatedEventTakesItsNewOrder() {
        var replica = Replica()
        replica.revoke(user("alice"), as: "h:1", order: 1000)
        let later = Identity(user: "alice", issued: ms(1500))
        #expect(replica.verdict(later) == nil)
        replica.revoke(user("alice"), as: "h:1", order: 2000)
        #expect(replica.standing.count == 1)
        #expect(replica.verdict(later) == .revoked)
        // With another selector it leaves the place it stood in.
        replica.revoke(user("bob"), as: "h:1", order: 2000)
        #expect(replica.standing.count == 1)
        #expect(replica.verdict(later) == nil)
    }
}

@Suite struct BlockTests {
    static let alice = Identity(user: "alice", issued: ms(.max))

    /// Every order of arrival ends with the same: the greatest `o` decides.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    func resolvedByOrderNotByArrival(_ arrival: [Int]) {
        func play(_ steps: [@Sendable (inout Replica) -> Void]) -> Replica {
            var replica = Replica()
            for step in arrival { steps[step](&replica) }
            return replica
        }
        let blocked = play([
            { $0.block(user("alice"), as: "b1", order: 10) }, { $0.unblock(user("alice"), order: 20) },
            { $0.block(user("alice"), as: "b2", order: 30) },
        ])
        #expect(blocked.verdict(Self.alice) == .blocked)
        #expect(blocked.standing.holds("b1") == false)
        #expect(blocked.standing.holds("b2") == true)
        let free = play([
            { $0.block(user("alice"), as: "b1", order: 10) }, { $0.block(user("alice"), as: "b2", order: 20) },
            { $0.unblock(user("alice"), order: 30) },
        ])
        #expect(free.verdict(Self.alice) == nil)
        #expect(free.standing.count == 0)
    }

    @Test func anOlderUnblockAfterANewerTakesNothingBack() {
        var replica = Replica()
        replica.unblock(user("alice"), as: "u2", order: 40)
        replica.unblock(user("alice"), as: "u1", order: 20)
        replica.block(user("alice"), order: 30)
        #expect(replica.verdict(Self.alice) == nil)
    }

    /// A block that was enforced ahead of the log with a later order, and whose place in the log is before the unblock.
    @Test func aBlockThatGetsAnEarlierOrderIsLifted() {
        var replica = Replica()
        replica.block(user("alice"), order: 50)
        replica.unblock(user("alice"), order: 40)
        #expect(replica.verdict(Self.alice) == .blocked)
        replica.block(user("alice"), order: 30)
        #expect(replica.verdict(Self.alice) == nil)
        #expect(replica.standing.holds("b1") == false)
    }

    /// Who may publish can say anything under the id of a decision. What the log holds under it stays.
    @Test func whatIsOnlyHeardDoesNotReplaceWhatWasRead() {
        func logged(_ decision: Decision, _ order: Int64) -> LoggedEvent {
            LoggedEvent(key: "b1", order: order, event: Event(id: "b1", decision: decision))
        }
        func block(_ name: Identifier) -> Decision { .block(user(name), except: nil, until: nil) }
        var replica = Replica()
        replica.standing.apply(logged(block("alice"), 50), isRead: true)
        replica.unblock(user("alice"), order: 40)
        let revoked = Decision.Revocation(select: user("alice"), issuedBefore: .time(ms(0)))
        for forged in [
            logged(block("bob"), 50), logged(block("bob"), 90), logged(block("alice"), 30),
            logged(.revoke(revoked), 90), logged(.block(user("alice"), except: nil, until: ms(1)), 90),
            logged(.block(user("alice"), except: user("alice"), until: nil), 90),
        ] {
            replica.standing.apply(forged, isRead: false)
            #expect(replica.verdict(Self.alice) == .blocked, "\(forged)")
        }
        // What was heard first gives way to the log, whatever its order.
        var other = Replica()
        other.standing.apply(logged(block("bob"), 90), isRead: false)
        other.standing.apply(logged(block("alice"), 50), isRead: true)
        #expect(other.verdict(Self.alice) == .blocked)
        // The same payload once more is the same decision at a later time.
        func again(_ order: Int64, isRead: Bool, in replica: inout Replica) {
            let revocation = Decision.Revocation(select: user("alice"), issuedBefore: .append)
            let event = LoggedEvent(key: "h:1", order: order, event: Event(id: nil, decision: .revoke(revocation)))
            replica.standing.apply(event, isRead: isRead)
        }
        var third = Replica()
        again(10, isRead: true, in: &third)
        again(80, isRead: false, in: &third)
        again(10, isRead: true, in: &third)
        third.standing.beginReading()
        #expect(third.standing.missing(now: ms(1000)).map(\.order) == [80])
        #expect(third.standing.count == 1)
    }

    @Test func onlyTheSameSelector() {
        var replica = Replica()
        replica.block(Selector(ids: [.user: "alice", .tenant: "acme"]), order: 10)
        replica.unblock(user("alice"), order: 20)
        replica.unblock(Selector(ids: [.tenant: "acme"]), order: 21)
        let member = Identity(user: "alice", ids: [.tenant: "acme"])
        #expect(replica.verdict(member) == .blocked)
        replica.unblock(Selector(ids: [.tenant: "acme", .user: "alice"]), order: 22)
        #expect(replica.verdict(member) == nil)
    }

    /// The selector's canonical form counts, not how the network was written.
    @Test func networksAreComparedCanonically() {
        var replica = Replica()
        replica.block(Selector(network: IPNetwork("192.0.2.77/24")), order: 10)
        replica.unblock(Selector(network: IPNetwork("192.0.2.0/24")), order: 20)
        #expect(replica.verdict(Self.alice, from: "192.0.2.1") == nil)
    }

    @Test func anUnblockLeavesARevocation() {
        var replica = Replica()
        replica.revoke(user("alice"), before: .never, order: 10)
        replica.unblock(user("alice"), order: 20)
        #expect(replica.verdict(Self.alice) == .revoked)
    }

    @Test func untilItsTime() {
        var replica = Replica()
        replica.block(user("alice"), until: ms(5000), order: 10)
        #expect(replica.verdict(Self.alice, now: ms(4999)) == .blocked)
        #expect(replica.verdict(Self.alice, now: ms(5000)) == nil)
    }
}

import PortcullisCore
import Testing

/// What the log lacks can be given back: under its own id and order, with the same meaning.
@Suite struct StandingCopyTests {
    private static let alice = Selector(ids: [.user: "alice"])
    private static let spared = Selector(ids: [.session: "s1"])

    private func logged(_ key: Identifier, _ order: Int64, _ decision: Decision) -> LoggedEvent {
        LoggedEvent(
            key: key,
            order: order,
            event: Event(id: key, decision: decision, actor: "ops", reason: "why", message: "Hello.")
        )
    }

    @Test func rebuildsEveryKind() {
        let block = Decision.block(Self.alice, except: Self.spared, until: ms(500))
        let never = Decision.revoke(.init(select: Selector(ids: [.token: "t"]), issuedBefore: .never, expires: ms(700)))
        let reauthenticate = Decision.reauthenticate(Self.alice, except: nil, within: Milliseconds(60_000))
        let events = [
            logged("b", 1, block), logged("n", 2, never), logged("r", 3, reauthenticate),
            logged("u", 4, .unblock(Selector(ids: [.user: "bob"]))), logged("l", 5, .lift(event: "x")),
        ]
        var standing = StandingDecisions()
        for event in events { standing.apply(event) }
        #expect(standing.missing(now: ms(0)).isEmpty)
        standing.beginReading()
        let copies = standing.missing(now: ms(0))
        #expect(copies.map(\.key) == ["b", "n", "r", "u", "l"])
        #expect(copies.map(\.order) == [1, 2, 3, 4, 5])
        #expect(copies.map(\.event.decision) == events.map(\.event.decision))
        // Reason and actor are kept; the words to the person are not.
        #expect(copies.allSatisfy { $0.event.reason == "why" && $0.event.actor == "ops" && $0.event.message == nil })
        #expect(copies.allSatisfy { $0.event.id == $0.key })
        // What has ended is not put back.
        #expect(standing.missing(now: ms(600)).map(\.key) == ["n", "r", "u", "l"])
    }

    /// "Issued before the append" becomes the moment of that append: a copy covers nobody who signed in since.
    @Test func aCopyCoversWhatTheOriginalDid() throws {
        var standing = StandingDecisions()
        standing.apply(
            logged("r", 1000, .revoke(.init(select: Self.alice, except: Self.spared, issuedBefore: .append)))
        )
        standing.beginReading()
        let copy = try #require(standing.missing(now: ms(0)).first)
        #expect(
            copy.event.decision
                == .revoke(.init(select: Self.alice, except: Self.spared, issuedBefore: .time(ms(1000))))
        )
        var other = StandingDecisions()
        other.apply(copy)
        for (issued, isRevoked) in [(1000, true), (1001, false)] {
            let identity = Identity(user: "alice", issued: ms(Int64(issued)))
            let verdict = other.verdict(on: identity, from: nil, presented: ms(5000), now: ms(5000))
            #expect((verdict == .revoked) == isRevoked)
        }
    }

    /// What the channel brings since a reading began is on its way into it: nobody has lost it. The next reading must find it.
    @Test func whatCameSinceTheReadingBeganIsNotMissing() {
        var standing = StandingDecisions()
        let event = logged("b", 1, .block(Self.alice, except: nil, until: nil))
        standing.beginReading()
        standing.apply(event)
        #expect(standing.missing(now: ms(0)).isEmpty)
        standing.beginReading()
        #expect(standing.missing(now: ms(0)).map(\.key) == ["b"])
        standing.apply(event)
        #expect(standing.missing(now: ms(0)).isEmpty)
    }

    /// What was only published is put into the log by whoever adopts it.
    @Test func aGuessIsNoCopy() {
        var standing = StandingDecisions()
        let event = logged("h:1", 1, .block(Self.alice, except: nil, until: nil))
        standing.apply(event, isProvisional: true)
        #expect(standing.missing(now: ms(0)).isEmpty)
        standing.apply(event)
        standing.beginReading()
        let copies = standing.missing(now: ms(0))
        #expect(copies.map(\.key) == ["h:1"])
        // Such an id stands beside the event, never in it.
        #expect(copies.first?.event.id == nil)
    }

    @Test func whatWasLiftedIsNotPutBack() {
        var standing = StandingDecisions()
        standing.apply(logged("b", 1, .block(Self.alice, except: nil, until: nil)))
        standing.apply(logged("u", 2, .unblock(Self.alice)))
        standing.apply(logged("r", 3, .revoke(.init(select: Self.alice, issuedBefore: .never))))
        standing.apply(logged("l", 4, .lift(event: "r")))
        standing.beginReading()
        #expect(standing.missing(now: ms(0)).map(\.key) == ["u", "l"])
        // The block comes back from elsewhere: it stays lifted, and counts for nobody.
        let block = logged("b", 1, .block(Self.alice, except: nil, until: nil))
        standing.apply(block)
        #expect(standing.counts(block, now: ms(0)) == false)
        #expect(standing.count == 0)
    }

    /// The same payload published anew has the same id: what was lifted is the earlier of the two.
    @Test func aDecisionBehindItsLiftIsAnother() {
        var standing = StandingDecisions()
        let revoke = Decision.revoke(.init(select: Self.alice, issuedBefore: .never))
        standing.apply(logged("h:1", 1, revoke))
        standing.apply(logged("l", 2, .lift(event: "h:1")))
        #expect(standing.holds("h:1") == false)
        standing.apply(logged("h:1", 1, revoke))
        #expect(standing.holds("h:1") == false)
        standing.apply(logged("h:1", 3, revoke))
        #expect(standing.holds("h:1") == true)
        // The lift comes again, as a copy.
        standing.apply(logged("l", 2, .lift(event: "h:1")))
        #expect(standing.holds("h:1") == true)
        // A guess that came in between is no later decision.
        standing.apply(logged("h:2", 9, revoke), isProvisional: true)
        standing.apply(logged("m", 8, .lift(event: "h:2")))
        #expect(standing.holds("h:2") == false)
    }
}

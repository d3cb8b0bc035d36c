import PortcullisCore
import TestKit
import Testing

/// A machine, with the words of a transcript: times are milliseconds, positions `<n>-0`, and nonces count up.
final class Vouching {
    var machine = VouchMachine(VouchTerms(lease: .seconds(5)))
    var nonce: UInt64 = 0
    var epoch: [UInt8]? = [1]

    func subscriptionAsked(_ now: Int64) -> [VouchMachine.Action] {
        machine.subscriptionAsked(now: boot(ms: now))
    }

    func subscribed(now: BootTime, random: UInt64) -> [VouchMachine.Action] {
        machine.subscribed(now: now, random: random)
    }

    func probeReturned(_ nonce: UInt64, now: BootTime) -> [VouchMachine.Action] {
        machine.probeReturned(nonce, now: now)
    }

    func probeRefused(_ reason: String, isNoPrimary: Bool) -> [VouchMachine.Action] {
        machine.probeRefused(reason, isNoPrimary: isNoPrimary)
    }

    func heard(_ entry: LogEntry, now: BootTime) -> [VouchMachine.Action] {
        machine.heard(entry, now: now)
    }

    func commandLost(_ reason: String) -> [VouchMachine.Action] {
        machine.commandLost(reason)
    }

    func subscriptionLost(_ reason: String) -> [VouchMachine.Action] {
        machine.subscriptionLost(reason)
    }

    func next() -> UInt64 {
        nonce += 1
        return nonce
    }

    func commandReady(_ now: Int64) -> [VouchMachine.Action] {
        machine.commandReady(now: boot(ms: now), random: next())
    }

    func subscribe(_ now: Int64) -> [VouchMachine.Action] {
        #expect(subscriptionAsked(now).isEmpty)
        return subscribed(now: boot(ms: now), random: next())
    }

    func probeBack(_ now: Int64) -> [VouchMachine.Action] {
        machine.probeInvalidated()
        return machine.probeReturned(nonce, now: boot(ms: now))
    }

    func standing(_ now: Int64, _ events: [LoggedEvent] = [], next: UInt64 = 0) -> [VouchMachine.Action] {
        machine.standingRead(events, next: next, now: boot(ms: now), random: 7)
    }

    func page(_ rows: [PageRow], _ now: Int64) -> [VouchMachine.Action] {
        machine.pageRead(rows, epoch: epoch, now: boot(ms: now), random: 7)
    }

    func time(_ now: Int64) -> [VouchMachine.Action] {
        machine.timePassed(now: boot(ms: now), random: next())
    }

    /// From nothing to hearing: links at 0, proof at 10, everything read at 20.
    func start(_ rows: [PageRow] = [row(1)]) {
        _ = commandReady(0)
        _ = subscribe(0)
        _ = probeBack(10)
        _ = standing(15)
        #expect(page(rows, 20).contains(.hear))
        #expect(machine.hears)
    }

    /// Both links are lost at a time.
    func lose() {
        _ = commandLost("gone")
        _ = subscriptionLost("gone")
        #expect(!machine.hears)
    }
}

func at(_ position: UInt64) -> LogPosition {
    LogPosition(milliseconds: position, sequence: 0)
}

func revocation(_ number: UInt64) -> LoggedEvent {
    let select = Selector(ids: [.user: Identifier("u\(number)")])
    let decision = Decision.revoke(.init(select: select, issuedBefore: .append))
    return LoggedEvent(
        key: Identifier("e\(number)"),
        order: Int64(number),
        event: Event(id: Identifier("e\(number)"), decision: decision)
    )
}

func row(_ number: UInt64) -> PageRow {
    PageRow(position: at(number), logged: revocation(number))
}

func told(_ number: UInt64, after previous: UInt64?) -> LogEntry {
    let logged = revocation(number)
    return LogEntry(
        position: at(number),
        previous: previous.map { at($0) },
        key: logged.key,
        order: logged.order,
        version: nil,
        event: logged.event
    )
}

@Suite struct StartGateTests {
    /// Guarantee 8: acknowledged, proved, and everything read behind that.
    @Test func inOrder() {
        let gate = Vouching()
        #expect(gate.commandReady(0) == [.makeEpoch])
        #expect(gate.time(1).isEmpty)
        #expect(gate.subscribe(5) == [.track, .sendProbe(nonce: 3)])
        #expect(gate.time(6).isEmpty)
        gate.nonce = 3
        #expect(
            gate.probeBack(9) == [.proved(Milliseconds(4)), .beginReading, .readStanding(cursor: 0)]
        )
        #expect(!gate.machine.hears)
        let first = gate.standing(12, [revocation(1)], next: 77)
        #expect(first == [.apply([revocation(1)]), .readStanding(cursor: 77)])
        #expect(gate.standing(13) == [.readPage(from: nil, count: 5000)])
        // Nobody has been admitted: there is nobody to tell.
        #expect(
            gate.page([row(2)], 15) == [
                .apply([revocation(2)]), .hear, .vouch(at: boot(ms: 13)),
            ]
        )
        #expect(gate.machine.position == at(2))
        #expect(gate.machine.hasVouched)
    }

    @Test func nothingIsReadBeforeTheFirstProof() {
        let gate = Vouching()
        _ = gate.commandReady(0)
        _ = gate.subscribe(0)
        for now in stride(from: Int64(100), to: 2500, by: 100) {
            for action in gate.time(now) { if case .readPage = action { Issue.record("read at \(now)") } }
        }
        #expect(!gate.machine.hasVouched)
    }

    @Test func aFullPageDoesNotVouch() {
        let gate = Vouching()
        _ = gate.commandReady(0)
        _ = gate.subscribe(0)
        _ = gate.probeBack(10)
        _ = gate.standing(15)
        let full = (1...UInt64(gate.machine.terms.startPageSize)).map { row($0) }
        let actions = gate.page(full, 20)
        #expect(actions.last == .readPage(from: at(5000), count: 5000))
        #expect(!actions.contains(.hear))
        #expect(!gate.machine.hears)
        // The last row comes again: it is the first of the next page.
        #expect(gate.page([row(5000)], 30) == [.hear, .vouch(at: boot(ms: 20))])
    }

    /// An invalidation must come too: without it a session could end unseen.
    @Test func theProbeNeedsBoth() {
        let gate = Vouching()
        _ = gate.commandReady(0)
        _ = gate.subscribe(0)
        #expect(gate.probeReturned(gate.nonce, now: boot(ms: 5)).isEmpty)
        #expect(gate.probeReturned(99, now: boot(ms: 5)).isEmpty)
        gate.machine.probeInvalidated()
        #expect(gate.probeReturned(99, now: boot(ms: 5)).isEmpty)
        #expect(!gate.probeReturned(gate.nonce, now: boot(ms: 6)).isEmpty)
    }

    @Test func aSubscriptionThatIsNotAcknowledged() {
        let gate = Vouching()
        _ = gate.commandReady(0)
        _ = gate.subscriptionAsked(0)
        #expect(gate.time(2499).isEmpty)
        #expect(
            gate.time(2500) == [.drop(.subscription, reason: "Redis did not acknowledge the subscription.")]
        )
        #expect(gate.subscribed(now: boot(ms: 2501), random: 1).isEmpty)
    }
}

@Suite struct FollowingTests {
    @Test func renewsEveryFifthOfTheLease() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1000)
        #expect(gate.time(1014).allSatisfy { if case .readPage = $0 { false } else { true } })
        #expect(gate.time(1015).contains(.readPage(from: at(1), count: 250)))
        #expect(
            gate.page([row(1), row(2)], 1040) == [
                .apply([revocation(2)]), .tell([revocation(2)]), .vouch(at: boot(ms: 1015)),
            ]
        )
    }

    /// Guarantee 4: the lease counts from the question, and an answer that is older than it is thrown away.
    @Test func aLateAnswerConfirmsNothing() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1020)
        let actions = gate.page([row(1), row(2)], 6020)
        #expect(actions == [.apply([revocation(2)]), .tell([revocation(2)])])
    }

    @Test func theChannelHurriesAndTheStreamDecides() {
        let gate = Vouching()
        gate.start()
        #expect(
            gate.heard(told(2, after: 1), now: boot(ms: 30)) == [
                .apply([revocation(2)], isRead: false), .tell([revocation(2)]),
            ]
        )
        #expect(gate.machine.position == at(1))
        // Read again, it is not told again.
        _ = gate.time(1020)
        #expect(
            gate.page([row(1), row(2)], 1021) == [
                .apply([revocation(2)]), .vouch(at: boot(ms: 1020)),
            ]
        )
        #expect(gate.machine.position == at(2))
        // Nor does the channel bring it twice.
        #expect(gate.heard(told(2, after: 1), now: boot(ms: 1030)).isEmpty)
    }

    /// Who may publish can tell of another decision under the id and the order of one: the log says which it is, and at once.
    @Test func aForgeryHidesNothing() {
        let gate = Vouching()
        gate.start()
        let real = revocation(2)
        let forged = LogEntry(
            position: at(2),
            previous: at(1),
            key: real.key,
            order: real.order,
            version: nil,
            event: Event(id: nil, decision: .revoke(.init(select: user("nobody"), issuedBefore: .append)))
        )
        #expect(gate.heard(forged, now: boot(ms: 30)).count == 2)
        _ = gate.time(1020)
        // The message of the real one was lost.
        #expect(gate.page([row(1), row(2)], 1021).contains(.tell([real])))
        #expect(gate.page([row(2)], 1022).isEmpty)
        // It comes all the same: the log was read, and nothing is to be said.
        #expect(gate.heard(told(2, after: 1), now: boot(ms: 1030)).isEmpty)

        let other = Vouching()
        other.start()
        #expect(other.heard(told(2, after: 1), now: boot(ms: 30)).count == 2)
        #expect(other.heard(forged, now: boot(ms: 31)).contains(.readPage(from: at(1), count: 250)))
    }

    @Test(arguments: [4, nil] as [UInt64?])
    func aGapIsReadAtOnce(previous: UInt64?) {
        let gate = Vouching()
        gate.start()
        #expect(
            gate.heard(told(5, after: previous), now: boot(ms: 30)) == [
                .apply([revocation(5)], isRead: false), .tell([revocation(5)]), .readPage(from: at(1), count: 250),
            ]
        )
        // Another gap while that is under way is read behind it.
        #expect(gate.heard(told(9, after: 8), now: boot(ms: 31)).count == 2)
        let actions = gate.page([row(1), row(4), row(5)], 35)
        #expect(
            actions == [
                .apply([revocation(4), revocation(5)]), .tell([revocation(4)]),
                .vouch(at: boot(ms: 30)), .readPage(from: at(5), count: 250),
            ]
        )
    }

    @Test func whatFollowsIsNoGap() {
        let gate = Vouching()
        gate.start()
        #expect(gate.heard(told(2, after: 1), now: boot(ms: 30)).count == 2)
        #expect(gate.heard(told(3, after: 2), now: boot(ms: 31)).count == 2)
    }

    /// Flushed, trimmed, rolled back or forged.
    @Test(arguments: [[], [row(2)], [row(7), row(8)]])
    func aPositionThatIsGoneReadsEverything(rows: [PageRow]) {
        let gate = Vouching()
        gate.start([row(1), row(5)])
        _ = gate.time(1020)
        #expect(gate.page(rows, 1030) == [.beginReading, .readStanding(cursor: 0)])
        #expect(gate.machine.hears)
        #expect(gate.standing(1040) == [.readPage(from: nil, count: 250)])
        let actions = gate.page([row(5), row(9)], 1050)
        // What is new to it is told, and it vouches again.
        #expect(
            actions == [
                .apply([revocation(5), revocation(9)]), .tell([revocation(9)]),
                .vouch(at: boot(ms: 1040)),
            ]
        )
        // What was missing is put back, a little later.
        #expect(!gate.time(1056).contains(.restore))
        #expect(gate.time(1057).contains(.restore))
        #expect(!gate.time(1058).contains(.restore))
    }

    @Test func anotherEpochIsNoFreeze() {
        let gate = Vouching()
        gate.start()
        gate.epoch = [2]
        _ = gate.time(1020)
        let actions = gate.page([row(1)], 1030)
        #expect(actions == [.forgetVersions, .beginReading, .readStanding(cursor: 0)])
        #expect(gate.machine.hears)
        _ = gate.standing(1040)
        #expect(gate.page([row(1)], 1050).last == .vouch(at: boot(ms: 1040)))
    }

    @Test func anEpochThatIsGone() {
        let gate = Vouching()
        gate.start([])
        gate.epoch = nil
        _ = gate.time(1020)
        let actions = gate.page([], 1030)
        #expect(actions == [.makeEpoch, .forgetVersions, .beginReading, .readStanding(cursor: 0)])
        gate.epoch = [3]
        _ = gate.standing(1040)
        #expect(gate.page([], 1050) == [.vouch(at: boot(ms: 1040))])
    }

    /// Told of at a place that was read without finding it.
    @Test func whatIsToldLateMustHaveBeenThere() {
        let gate = Vouching()
        gate.start([row(1), row(3)])
        _ = gate.heard(told(2, after: 1), now: boot(ms: 30))
        _ = gate.time(1020)
        #expect(gate.page([row(3)], 1030) == [.forgetVersions, .beginReading, .readStanding(cursor: 0)])
        // What is told again, and was read, asks for nothing.
        let other = Vouching()
        other.start([row(1), row(3)])
        _ = other.heard(told(1, after: 0), now: boot(ms: 30))
        _ = other.time(1020)
        #expect(other.page([row(3)], 1030).contains(.vouch(at: boot(ms: 1020))))
    }

    /// The channel told of an entry that the log does not hold: a primary that told and lost it.
    @Test func whatWasToldMustBeThere() {
        let gate = Vouching()
        gate.start()
        _ = gate.heard(told(2, after: 1), now: boot(ms: 30))
        _ = gate.time(1020)
        // Nor does the version of a permission stand that it gave.
        #expect(gate.page([row(1)], 1030) == [.forgetVersions, .beginReading, .readStanding(cursor: 0)])
        _ = gate.standing(1040)
        // Once is enough: a message may have been forged.
        #expect(gate.page([row(1)], 1050).contains(.vouch(at: boot(ms: 1040))))
    }

    /// A place that the log cannot have reached is forged: the event counts, and the log is not doubted for it.
    @Test func aPlaceOfTheFutureSaysNothing() {
        let gate = Vouching()
        gate.start()
        let actions = gate.machine.heard(told(99_000, after: 1), now: boot(ms: 30), latest: at(61_000))
        #expect(actions == [.apply([revocation(99_000)], isRead: false), .tell([revocation(99_000)])])
        _ = gate.time(1020)
        #expect(gate.page([row(1)], 1030) == [.vouch(at: boot(ms: 1020))])
        // What follows is held against what is true: a gap is still one.
        let next = gate.machine.heard(told(5, after: 4), now: boot(ms: 1040), latest: at(61_000))
        #expect(next.last == .readPage(from: at(1), count: 250))
        // The last place that can be is one like another.
        let other = Vouching()
        other.start()
        _ = other.machine.heard(told(61_000, after: 1), now: boot(ms: 30), latest: at(61_000))
        _ = other.time(1020)
        #expect(other.page([row(1)], 1030) == [.forgetVersions, .beginReading, .readStanding(cursor: 0)])
    }

    /// Forged at a place that can be, again and again: all is read anew once a lease, and the view is confirmed all the while.
    @Test func doubtCostsOneFullReadingALease() {
        let gate = Vouching()
        gate.start()
        var full: [Int64] = []
        var vouched: [Int64] = []
        for now in stride(from: Int64(100), to: 16_000, by: 100) {
            let forged = 20 + UInt64(now)
            _ = gate.machine.heard(told(forged, after: 1), now: boot(ms: now), latest: at(1_000_000))
            var open = gate.time(now)
            // Whatever is asked is answered within the same moment; the probe too.
            while let action = open.popLast() {
                switch action {
                case .sendProbe(let nonce):
                    gate.machine.probeInvalidated()
                    open += gate.probeReturned(nonce, now: boot(ms: now))
                case .readStanding: open += gate.standing(now)
                case .readPage: open += gate.page([row(1)], now)
                case .beginReading: full.append(now)
                case .vouch: vouched.append(now)
                default: break
                }
            }
        }
        #expect(full.count == 3)
        #expect(zip(full, full.dropFirst()).allSatisfy { $1 - $0 >= 5000 })
        #expect(zip(vouched, vouched.dropFirst()).allSatisfy { $1 - $0 <= 1200 })
    }

    @Test func aRowThatCannotBeReadIsPassed() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1020)
        let actions = gate.page([row(1), PageRow(position: at(2), logged: nil)], 1030)
        #expect(actions == [.vouch(at: boot(ms: 1020))])
        #expect(gate.machine.position == at(2))
    }
}

@Suite struct LinkLossTests {
    @Test func afterAReconnectItCatchesUpBehindTheProof() {
        let gate = Vouching()
        gate.start()
        gate.lose()
        // Deaf: it reads at once, but that was asked before the subscription stands.
        #expect(gate.commandReady(100) == [.makeEpoch, .readPage(from: at(1), count: 250)])
        #expect(gate.subscribe(110).contains(.sendProbe(nonce: gate.nonce)))
        #expect(gate.probeBack(120) == [.proved(Milliseconds(10))])
        let actions = gate.page([row(1), row(2)], 130)
        // It confirms the view, but does not make it hear; the next reading does.
        #expect(
            actions == [
                .apply([revocation(2)]), .tell([revocation(2)]), .vouch(at: boot(ms: 100)),
                .readPage(from: at(2), count: 250),
            ]
        )
        #expect(!gate.machine.hears)
        #expect(gate.page([row(2)], 140) == [.hear, .vouch(at: boot(ms: 130))])
    }

    /// Guarantee 7.
    @Test func deafIsNotFrozen() {
        let gate = Vouching()
        gate.start()
        #expect(gate.subscriptionLost("gone") == [.becomeDeaf(reason: "gone")])
        var confirmed: [Int64] = []
        for now in stride(from: Int64(100), to: 10_000, by: 10) {
            for action in gate.time(now) {
                guard case .readPage = action else { continue }
                let answers = gate.page([row(1)], now + 1)
                #expect(answers == [.vouch(at: boot(ms: now))])
                confirmed.append(now)
            }
        }
        #expect(confirmed.count >= 98)
        #expect(zip(confirmed, confirmed.dropFirst()).allSatisfy { $1 - $0 <= 110 })
    }

    @Test func aDeafGateReadsSessionsAgainWithinTheLease() {
        let gate = Vouching()
        gate.start()
        _ = gate.subscriptionLost("gone")
        var times: [Int64] = []
        for now in stride(from: Int64(100), to: 9000, by: 50) {
            for action in gate.time(now) {
                if case .readPage = action { _ = gate.page([row(1)], now) }
                if action == .readSessions { times.append(now) }
            }
        }
        #expect(times == [100, 2600, 5100, 7600])
    }

    @Test func aProbeThatDoesNotComeBackDropsBoth() {
        let gate = Vouching()
        gate.start()
        let sent = gate.time(1000)
        #expect(sent.contains { if case .sendProbe = $0 { true } else { false } })
        _ = gate.time(1020)
        _ = gate.page([row(1)], 1021)
        #expect(!gate.time(3500).contains { if case .drop = $0 { true } else { false } })
        let late = "The probe did not come back within 2500 ms."
        let actions = gate.time(3501)
        #expect(
            actions.starts(with: [
                .drop(.command, reason: late), .drop(.subscription, reason: late), .becomeDeaf(reason: late),
            ])
        )
        // The shell that does it tells of it: nothing new.
        #expect(gate.commandLost("x").isEmpty)
        #expect(gate.subscriptionLost("x").isEmpty)
    }

    /// A gate that was paused finds the answer in its buffer: by the clock it is too late all the same.
    @Test func aProbeThatComesBackTooLate() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1000)
        gate.machine.probeInvalidated()
        #expect(gate.probeReturned(gate.nonce, now: boot(ms: 9000)).count == 3)
        #expect(!gate.machine.hears)
    }

    /// A Redis that says itself that it is no primary confirms nothing, however willingly it reads its log.
    @Test func noPrimaryConfirmsNothing() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1000)
        #expect(gate.probeRefused("READONLY", isNoPrimary: true).count == 3)
        #expect(gate.commandReady(1100) == [.makeEpoch, .readPage(from: at(1), count: 250)])
        #expect(gate.page([row(1)], 1110).isEmpty)
        _ = gate.subscribe(1120)
        _ = gate.probeBack(1130)
        #expect(gate.page([row(1)], 1140).contains(.hear))
    }

    @Test func anAnswerThatDoesNotComeDropsTheLink() {
        let gate = Vouching()
        gate.start()
        _ = gate.subscriptionLost("gone")
        _ = gate.time(100)
        #expect(!gate.time(2600).contains { if case .drop = $0 { true } else { false } })
        #expect(gate.time(2601).first == .drop(.command, reason: "Redis did not answer within 2500 ms."))
    }

    /// What was read before the link broke is enforced, even though the tail was not reached: it is read only once.
    @Test func whatWasReadIsTold() {
        let gate = Vouching()
        gate.start()
        _ = gate.time(1020)
        let full = [row(1)] + (2...UInt64(gate.machine.terms.pageSize)).map { row($0) }
        #expect(!gate.page(full, 1030).contains { if case .tell = $0 { true } else { false } })
        let told = gate.commandLost("gone").compactMap { action -> [LoggedEvent]? in
            if case .tell(let events) = action { events } else { nil }
        }
        #expect(told.first?.count == gate.machine.terms.pageSize - 1)
    }

    /// Answers and events for which no question is open change nothing.
    @Test func outOfStep() {
        let gate = Vouching()
        #expect(gate.page([row(1)], 0).isEmpty)
        #expect(gate.standing(0, [revocation(1)]).isEmpty)
        #expect(gate.probeReturned(0, now: boot(ms: 0)).isEmpty)
        #expect(gate.subscribed(now: boot(ms: 0), random: 0).isEmpty)
        #expect(gate.commandLost("x").isEmpty)
        #expect(gate.subscriptionLost("x").isEmpty)
        #expect(gate.probeRefused("x", isNoPrimary: true).isEmpty)
        #expect(gate.machine.position == nil)
        gate.start()
        #expect(gate.commandReady(30).isEmpty)
        #expect(gate.subscriptionAsked(30).isEmpty)
        #expect(gate.subscribed(now: boot(ms: 30), random: 0).isEmpty)
        #expect(!gate.time(.max / 1_000_000).isEmpty)
    }
}

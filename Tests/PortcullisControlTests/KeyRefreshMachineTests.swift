import PortcullisCore
import Testing

@testable import PortcullisControl

/// The life of one key set, as a transcript: seconds since its beginning on the left.
@Suite struct KeyRefreshMachineTests {
    /// A machine and the answers that its fetches get.
    private final class Transcript {
        var machine = KeyRefreshMachine(.init(), now: .zero)
        var held: Set<Identifier> = ["old"]

        func at(_ seconds: Double) -> KeyRefreshMachine.Action { machine.timePassed(now: .at(seconds)) }

        func names(_ kid: Identifier, at seconds: Double) -> Bool {
            machine.unknownKey(kid, now: .at(seconds))
        }

        func fetched(at seconds: Double, jitter: Double = 1) -> KeyRefreshMachine.News {
            machine.fetched(now: .at(seconds), jitter: jitter) { [held] in held.contains($0) }
        }

        func failed(at seconds: Double, jitter: Double = 1) -> KeyRefreshMachine.News {
            machine.failed(now: .at(seconds), jitter: jitter)
        }

        var next: Double { machine.next.seconds }
    }

    @Test func aSetIsFetchedOnSchedule() {
        let set = Transcript()
        #expect(set.at(0) == .fetch)
        #expect(set.at(0) == .none, "one at a time")
        #expect(set.fetched(at: 1) == .none)
        #expect(set.next == 601)
        #expect(set.at(600.9) == .none)
        #expect(set.at(601) == .fetch)
        // Each gate at its own time, and never later than promised.
        #expect(set.fetched(at: 602, jitter: 0) == .none)
        #expect(set.next == 602 + 480)
    }

    @Test func aNewKeyIsFetchedAtOnceAndTheNextAfterTheCoolDown() {
        let set = Transcript()
        _ = set.at(0)
        _ = set.fetched(at: 0)
        // The scheduled fetch a moment ago does not count.
        #expect(set.names("new", at: 1))
        #expect(set.at(1) == .fetch)
        set.held.insert("new")
        _ = set.fetched(at: 1.2)
        #expect(set.next == 601.2)

        #expect(set.names("newer", at: 5), "noted")
        #expect(set.next == 31)
        #expect(set.at(30.9) == .none)
        #expect(set.at(31) == .fetch)
    }

    @Test func randomNamesCauseOneFetchACoolDown() {
        let set = Transcript()
        var fetches = 0
        // A hundred different names a second, for ten minutes, and an issuer that answers within 100 ms.
        for tick in 0..<60_000 {
            let now = Double(tick) / 100
            _ = set.names(Identifier("random\(tick)"), at: now)
            if set.at(now) == .fetch {
                fetches += 1
                _ = set.fetched(at: now + 0.1)
            }
        }
        // The first, then the one that names cause at the beginning of every 30 s.
        #expect((20...22).contains(fetches), "\(fetches)")
    }

    @Test func aNameThatWasNotFoundCausesNothingForAWhile() {
        let set = Transcript()
        _ = set.at(0)
        _ = set.fetched(at: 0)
        var fetches: [Double] = []
        // One client that comes every second with a key that was withdrawn long ago.
        for second in 1...2000 {
            let now = Double(second)
            _ = set.names("gone", at: now)
            if set.at(now) == .fetch {
                fetches.append(now)
                _ = set.fetched(at: now)
            }
        }
        // After 30, 60, 120, 240 s …; between them only the schedule, which begins anew with every fetch.
        #expect(fetches == [1, 31, 91, 211, 451, 931, 1531])
    }

    @Test func aKeyThatComesLateIsFound() {
        let set = Transcript()
        _ = set.at(0)
        _ = set.fetched(at: 0)
        #expect(set.names("late", at: 1))
        _ = set.at(1)
        _ = set.fetched(at: 1)
        #expect(!set.names("late", at: 20))
        #expect(set.names("late", at: 32))
        #expect(set.at(32) == .fetch)
        set.held.insert("late")
        _ = set.fetched(at: 32)
        // Known again, then withdrawn again: its misses are forgotten.
        set.held.remove("late")
        #expect(set.names("late", at: 70))
        #expect(set.at(70) == .fetch)
    }

    @Test func anIssuerThatIsAwayIsToldOnceAndTriedOnAndOn() {
        let set = Transcript()
        var pauses: [Double] = []
        var now = 0.0
        for attempt in 0..<10 {
            #expect(set.at(now) == .fetch)
            #expect(set.failed(at: now) == (attempt == 0 ? .away : .none))
            pauses.append(set.next - now)
            now = set.next
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
        #expect(set.at(now) == .fetch)
        #expect(set.fetched(at: now) == .back)
        #expect(set.next == now + 600)
        now = set.next
        #expect(set.at(now) == .fetch)
        #expect(set.failed(at: now, jitter: 0) == .away)
        #expect(set.next == now + 0.5)
    }

    @Test func namesWhileTheIssuerIsAwayCauseNoMoreThanOneFetchACoolDown() {
        let set = Transcript()
        var fetches: [Double] = []
        for tick in 0..<120_000 {
            let now = Double(tick) / 100
            _ = set.names(Identifier("random\(tick)"), at: now)
            if set.at(now) == .fetch {
                fetches.append(now)
                _ = set.failed(at: now)
            }
        }
        // Ten minutes of growing pauses, and at most one more every 30 s.
        #expect(fetches.count <= 20 + 40 + 6, "\(fetches)")
    }

    @Test func aNameThatCouldNotBeAskedForIsNotHeldAgainstIt() {
        let set = Transcript()
        _ = set.at(0)
        _ = set.fetched(at: 0)
        #expect(set.names("new", at: 1))
        #expect(set.at(1) == .fetch)
        _ = set.failed(at: 2)
        #expect(set.at(3) == .fetch)
        _ = set.failed(at: 3)
        // The retry in 2 s is nearer than the end of the cool-down.
        #expect(!set.names("new", at: 4))
        #expect(set.at(5) == .fetch)
    }

    @Test func eventsInAnyOrderLeaveItAlive() {
        let set = Transcript()
        #expect(set.fetched(at: 0) == .none)
        #expect(set.failed(at: 0) == .none)
        #expect(set.at(0) == .fetch)
        #expect(!set.names("x", at: 0), "the fetch that is under way may bring it")
        #expect(set.failed(at: 0) == .away)
        #expect(set.failed(at: 0) == .none)
        var odd = KeyRefreshMachine(
            .init(refresh: Milliseconds(.max), cooldown: Milliseconds(.max)),
            now: BootTime(nanoseconds: .max)
        )
        let (action, news) = (
            odd.timePassed(now: BootTime(nanoseconds: .max)),
            odd.fetched(now: BootTime(nanoseconds: .max), jitter: .infinity) { _ in false }
        )
        #expect(action == .fetch && news == .none)
        _ = odd.unknownKey("x", now: BootTime(nanoseconds: .max))
    }

    @Test func whatItRemembersIsBounded() {
        let set = Transcript()
        for round in 0..<100 {
            let now = Double(round * 30)
            for name in 0..<200 { _ = set.names(Identifier("\(round)-\(name)"), at: now) }
            #expect(set.machine.wantedCount <= KeyRefreshMachine.mostWanted)
            _ = set.at(now)
            _ = set.fetched(at: now)
            #expect(set.machine.absentCount <= KeyRefreshMachine.mostAbsent)
        }
        #expect(set.machine.absentCount == KeyRefreshMachine.mostAbsent)
    }
}

extension BootTime {
    fileprivate static let zero = BootTime(nanoseconds: 0)

    fileprivate static func at(_ seconds: Double) -> BootTime {
        BootTime(nanoseconds: Int64((seconds * 1000).rounded()) * 1_000_000)
    }

    fileprivate var seconds: Double { Double(nanoseconds / 1_000_000) / 1000 }
}

import PortcullisCore
import Testing

@Suite struct LoopLeaseTests {
    @Test func freezesAndThaws() {
        var lease = LoopLease(length: .seconds(5))
        lease.isDeaf = false
        #expect(!lease.mayAdmit(at: boot(ms: 0)))
        #expect(!lease.mayServe(at: boot(ms: 0)))
        #expect(step(&lease, 0) == .nothing)
        #expect(renew(&lease, sent: 100, at: 120))
        #expect(lease.mayAdmit(at: boot(ms: 5099)))
        #expect(step(&lease, 5099) == .nothing)
        // By the clock, not by whether anybody has looked.
        #expect(!lease.mayAdmit(at: boot(ms: 5100)))
        #expect(!lease.mayServe(at: boot(ms: 5100)))
        #expect(step(&lease, 5120) == .froze)
        #expect(lease.isFrozen)
        #expect(step(&lease, 5130) == .nothing)
        #expect(!renew(&lease, sent: 120, at: 5130))
        #expect(step(&lease, 5131) == .nothing)
        #expect(renew(&lease, sent: 5090, at: 6000))
        #expect(lease.mayServe(at: boot(ms: 6000)))
        // Frozen time counts from the end of the lease.
        #expect(step(&lease, 6100) == .thawed(Milliseconds(1000)))
        #expect(!lease.isFrozen)
        #expect(step(&lease, 6101) == .nothing)
    }

    @Test func aDeafLoopServesAndAdmitsNobody() {
        var lease = LoopLease(length: .seconds(5))
        #expect(renew(&lease, sent: 0, at: 0))
        #expect(lease.mayServe(at: boot(ms: 1)))
        #expect(!lease.mayAdmit(at: boot(ms: 1)))
        lease.isDeaf = false
        #expect(lease.mayAdmit(at: boot(ms: 1)))
    }

    @Test func theLimitIsReachedOnceAFreeze() {
        var lease = LoopLease(length: .seconds(5), freezeLimit: .seconds(60))
        #expect(renew(&lease, sent: 0, at: 0))
        #expect(step(&lease, 5000) == .froze)
        #expect(step(&lease, 64_999) == .nothing)
        #expect(step(&lease, 65_000) == .expire)
        #expect(step(&lease, 65_001) == .nothing)
        #expect(renew(&lease, sent: 70_000, at: 70_000))
        #expect(step(&lease, 70_000) == .thawed(Milliseconds(65_000)))
        #expect(step(&lease, 75_000) == .froze)
        #expect(step(&lease, 135_000) == .expire)
    }

    /// It has not yet tried to vouch again: it is frozen, not over.
    @Test func aPausedProcessGetsItsTime() {
        var lease = LoopLease(length: .seconds(5), freezeLimit: .seconds(60))
        #expect(renew(&lease, sent: 0, at: 0))
        #expect(step(&lease, 3_600_000) == .froze)
        #expect(!lease.mayServe(at: boot(ms: 3_600_000)))
        #expect(step(&lease, 3_600_001) == .nothing)
        #expect(step(&lease, 3_660_000) == .expire)
    }

    @Test func bestEffortServesAndAlarms() {
        var lease = LoopLease(length: .seconds(5), mode: .bestEffort, freezeLimit: .seconds(60))
        // The start gate stands in every mode.
        #expect(!lease.mayAdmit(at: boot(ms: 0)))
        #expect(renew(&lease, sent: 0, at: 0))
        #expect(step(&lease, 5000) == .froze)
        #expect(lease.mayServe(at: boot(ms: 500_000)))
        #expect(lease.mayAdmit(at: boot(ms: 500_000)))
        #expect(step(&lease, 500_000) == .nothing)
        #expect(renew(&lease, sent: 600_000, at: 600_000))
        #expect(step(&lease, 600_000) == .thawed(Milliseconds(595_000)))
    }

    @Test func theEndOfTime() {
        var lease = LoopLease(length: .seconds(5))
        #expect(renew(&lease, sent: .max / 1_000_000, at: .max / 1_000_000))
        #expect(lease.servesUntil == BootTime(nanoseconds: .max))
        #expect(step(&lease, .max / 1_000_000) == .nothing)
    }

    private func step(_ lease: inout LoopLease, _ now: Int64) -> LoopLease.Change {
        lease.timePassed(now: boot(ms: now))
    }

    private func renew(_ lease: inout LoopLease, sent: Int64, at now: Int64) -> Bool {
        lease.renew(sentAt: boot(ms: sent), now: boot(ms: now))
    }
}

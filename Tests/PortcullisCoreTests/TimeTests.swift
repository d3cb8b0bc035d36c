import PortcullisCore
import Testing

@Suite struct TimeTests {
    @Test func additionStopsAtTheBounds() {
        #expect(ms(.max) + Milliseconds(1) == ms(.max))
        #expect(ms(.min) + Milliseconds(-1) == ms(.min))
        #expect(ms(5) + Milliseconds(-7) == ms(-2))
        #expect(BootTime(nanoseconds: .max) + Milliseconds(1) == BootTime(nanoseconds: .max))
        #expect(BootTime(nanoseconds: 0) + Milliseconds(.max) == BootTime(nanoseconds: .max))
        #expect(BootTime(nanoseconds: 0) + Milliseconds(.min) == BootTime(nanoseconds: .min))
        #expect(BootTime(nanoseconds: 1) + Milliseconds(2) == BootTime(nanoseconds: 2_000_001))
    }

    @Test func differencesStopAtTheBounds() {
        #expect(ms(.max).since(ms(.min)) == Milliseconds(.max))
        #expect(ms(.min).since(ms(.max)) == Milliseconds(.min))
        #expect(ms(3).since(ms(10)) == Milliseconds(-7))
        #expect(BootTime(nanoseconds: .max).since(BootTime(nanoseconds: .min)).count == .max / 1_000_000)
        #expect(BootTime(nanoseconds: 1_999_999).since(BootTime(nanoseconds: 0)) == Milliseconds(1))
    }

    @Test func clampedArithmetic() {
        #expect(Int64.max.addingClamped(1) == .max)
        #expect(Int64.min.addingClamped(-1) == .min)
        #expect(UInt8.max.addingClamped(1) == .max)
        #expect(Int64.min.subtractingClamped(1) == .min)
        #expect(Int64.max.subtractingClamped(-1) == .max)
        #expect(UInt8(0).subtractingClamped(1) == 0)
        #expect(Int64.max.multipliedClamped(by: 2) == .max)
        #expect(Int64.max.multipliedClamped(by: -2) == .min)
        #expect(Int64.min.multipliedClamped(by: -1) == .max)
        #expect(Milliseconds.seconds(.max) == Milliseconds(.max))
        #expect(Milliseconds.seconds(.min) == Milliseconds(.min))
        #expect(Milliseconds.seconds(5) == Milliseconds(5000))
    }
}

@Suite struct LeaseTests {
    @Test func countsFromSending() {
        var lease = Lease(length: .seconds(5))
        #expect(!lease.holds(at: boot(ms: 0)))
        // Asked at 1,000, answered at 4,000: it ends at 6,000, not at 9,000.
        #expect(lease.renew(sentAt: boot(ms: 1000), now: boot(ms: 4000)) == true)
        #expect(lease.vouchedAt == boot(ms: 1000))
        #expect(lease.holds(at: boot(ms: 5999)))
        #expect(!lease.holds(at: boot(ms: 6000)))
    }

    @Test func aLateAnswerIsThrownAway() {
        var lease = Lease(length: .seconds(5))
        #expect(lease.renew(sentAt: boot(ms: 1000), now: boot(ms: 6000)) == false)
        #expect(lease.vouchedAt == nil)
        #expect(lease.renew(sentAt: boot(ms: 2000), now: boot(ms: 2001)) == true)
        #expect(lease.renew(sentAt: boot(ms: 3000), now: boot(ms: 8000)) == false)
        #expect(lease.vouchedAt == boot(ms: 2000))
    }

    @Test func anAnswerOutOfOrderTakesNothingBack() {
        var lease = Lease(length: .seconds(5))
        #expect(lease.renew(sentAt: boot(ms: 2000), now: boot(ms: 2100)) == true)
        #expect(lease.renew(sentAt: boot(ms: 1000), now: boot(ms: 2200)) == true)
        #expect(lease.vouchedAt == boot(ms: 2000))
    }

    @Test func dropped() {
        var lease = Lease(length: .seconds(5))
        #expect(lease.renew(sentAt: boot(ms: 0), now: boot(ms: 0)) == true)
        lease.drop()
        #expect(!lease.holds(at: boot(ms: 1)))
        #expect(lease.renew(sentAt: boot(ms: 2), now: boot(ms: 3)) == true)
        #expect(lease.holds(at: boot(ms: 4)))
    }

    /// A process that slept for an hour wakes up with no lease.
    @Test func afterAPause() {
        var lease = Lease(length: .seconds(5))
        #expect(lease.renew(sentAt: boot(ms: 0), now: boot(ms: 1)) == true)
        #expect(!lease.holds(at: boot(ms: 3_600_000)))
        #expect(!lease.holds(at: BootTime(nanoseconds: .max)))
    }
}

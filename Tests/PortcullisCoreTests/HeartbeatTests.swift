import PortcullisCore
import Testing

@Suite struct HeartbeatTests {
    /// Pings are spread over the last tenth of the interval, evenly, and no peer lives longer for it.
    @Test func pingsAreSpread() {
        let heartbeat = Heartbeat(.seconds(25))
        var tenths = [Int](repeating: 0, count: 10)
        for slot in UInt32(0)..<10_000 {
            let after = heartbeat.pingAfter(slot)
            #expect(after > Milliseconds(22_500) && after <= .seconds(25))
            tenths[min(9, Int((25_000 - after.count) / 250))] += 1
        }
        for count in tenths { #expect((900...1100).contains(count)) }
        #expect(heartbeat.pingAfter(7) == heartbeat.pingAfter(7))
        #expect(heartbeat.closeAfter == .seconds(50))
    }

    @Test(arguments: [0, 1, 9, Int64.max]) func anyIntervalWillDo(_ interval: Int64) {
        let heartbeat = Heartbeat(Milliseconds(interval))
        for slot in [0, 1, UInt32.max] {
            #expect(heartbeat.pingAfter(slot) <= heartbeat.interval)
            #expect(heartbeat.pingAfter(slot) >= Milliseconds(0))
            #expect(heartbeat.closeAfter >= heartbeat.interval)
        }
    }
}

import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisWire
import TestKit
import Testing

/// What one connection may send (`limits.messages_per_second` and the like).
@Suite(.serialized) struct RateTests {
    private func frames(_ count: Int, bytes: Int = 1) -> [UInt8] {
        var frames: [UInt8] = []
        let text = [UInt8](repeating: UInt8(ascii: "x"), count: bytes)
        for _ in 0..<count { FrameWriter.append(.text, text.span, mask: 0x0102_0304, to: &frames) }
        return frames
    }

    private func pings(_ count: Int) -> [UInt8] {
        Array((0..<count).map { _ in [0x89, 0x80, 0, 0, 0, 0] as [UInt8] }.joined())
    }

    /// No more than the burst and what time brings comes back, everything comes back in the end, and nobody else waits.
    @Test func whoSendsTooFastIsReadNoFurtherAndLosesNothing() throws {
        let test = try GateUnderTest(loops: 1) {
            $0.relay = .echo
            $0.rates = ConnectionRates(messages: 20, bytes: 0, control: 0, burst: .seconds(1))
        }
        let (fast, other) = (try test.connect("fast", raw: true), try test.connect("other", raw: true))
        let start = DispatchTime.now().uptimeNanoseconds
        try fast.send(raw: frames(60))
        var count = 0
        while count < 60 {
            #expect(try fast.receive() == .text("x"))
            count += 1
            // Rounded up, for a message that was on its way.
            let elapsed = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            #expect(Double(count) <= 21 + 20 * elapsed)
            if count == 20 {
                try other.send(text: "here")
                #expect(try other.receive() == .text("here"))
            }
        }
        // It is no worse off for it.
        try fast.send(text: "y")
        #expect(try fast.receive() == .text("y"))
    }

    @Test func bytesCountAsMessagesDo() throws {
        let test = try GateUnderTest(loops: 1) {
            $0.relay = .echo
            $0.rates = ConnectionRates(messages: 0, bytes: 100_000, control: 0, burst: .seconds(1))
        }
        let peer = try test.connect("fast", raw: true)
        let start = DispatchTime.now().uptimeNanoseconds
        try peer.send(raw: frames(30, bytes: 10_000))
        for count in 1...30 {
            guard case .text = try peer.receive() else {
                Issue.record("no message")
                return
            }
            // A read of 64 KiB may go into debt.
            let elapsed = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            #expect(Double(count * 10_000) <= 100_000 + 66_000 + 100_000 * elapsed)
        }
    }

    @Test func whoIsHeldBackForLongIsClosed() throws {
        let test = try GateUnderTest(loops: 1) {
            $0.rates = ConnectionRates(messages: 1, bytes: 0, control: 0, burst: .seconds(2))
            $0.longestHolding = Milliseconds(300)
        }
        let peer = try test.connect("fast")
        _ = try peer.receive(type: "welcome")
        try peer.send(raw: frames(50))
        let closing = try peer.receive(type: "closing")
        #expect(closing["code"] as? Int == 4429)
        #expect(closing["reason"] as? String == "rate_limited")
        #expect(closing["reconnect"] as? String == "later")
        #expect((1...15_000).contains(try #require(closing["retry_after_ms"] as? Int)))
        #expect(try peer.receiveClose() == .close(4429, "rate_limited"))
    }

    /// A steady stream far over the rate, held and let go all the time, is held back without a break.
    @Test func whoAlwaysHasMoreIsClosedThoughItGetsTokensAllTheTime() throws {
        let test = try GateUnderTest(loops: 1) {
            $0.rates = ConnectionRates(messages: 100, bytes: 0, control: 0, burst: Milliseconds(100))
            $0.longestHolding = Milliseconds(1500)
        }
        let peer = try test.connect("fast")
        _ = try peer.receive(type: "welcome")
        try peer.send(raw: frames(20_000))
        #expect(try peer.receiveClose() == .close(4429, "rate_limited"))
    }

    @Test func tooManyControlFramesBreakARule() throws {
        let test = try GateUnderTest(loops: 1) {
            $0.rates = ConnectionRates(messages: 0, bytes: 0, control: 1, burst: .seconds(10))
        }
        let good = try test.connect("good", raw: true)
        try good.send(raw: pings(10))
        #expect(try good.receive() == .pong)
        let bad = try test.connect("bad", raw: true)
        try bad.send(raw: pings(200))
        #expect(try bad.receiveClose() == .close(1008, "policy_violation"))
        try good.close(code: 1000)
        #expect(try good.receiveClose() == .close(1000, ""))
    }

    /// A gate that is told of other limits keeps its connections, and holds them to the new.
    @Test func aReloadChangesTheRates() throws {
        let test = try GateUnderTest(loops: 1) { $0.relay = .echo }
        let peer = try test.connect("fast", raw: true)
        try peer.send(raw: frames(300))
        for _ in 0..<300 { #expect(try peer.receive() == .text("x")) }
        try test.reload {
            $0.rates = ConnectionRates(messages: 1, bytes: 0, control: 0, burst: .seconds(2))
            $0.longestHolding = Milliseconds(300)
        }
        try peer.send(raw: frames(50))
        #expect(try peer.receiveClose() == .close(4429, "rate_limited"))
    }
}

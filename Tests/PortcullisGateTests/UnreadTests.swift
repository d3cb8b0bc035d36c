import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisWire
import TestKit
import Testing

/// Clients that send much at once: nothing is lost, nothing overtakes, and nobody waits for all of it.
@Suite(.serialized) struct UnreadTests {
    private func frames(_ texts: some Sequence<String>) -> [UInt8] {
        var bytes: [UInt8] = []
        for text in texts { FrameWriter.append(.text, Array(text.utf8).span, mask: 0x0102_0304, to: &bytes) }
        return bytes
    }

    /// Many thousand messages in a few chunks come back in their order, while another client is served; the close frame comes behind them.
    @Test func aFloodIsWorkedOffInOrder() throws {
        let test = try GateUnderTest(loops: 1) { $0.relay = .echo }
        let (flood, other) = (try test.connect("flood", raw: true), try test.connect("other", raw: true))
        let count = 20_000
        try flood.send(raw: frames((0..<count).map(String.init)))
        try other.send(text: "here")
        #expect(try other.receive() == .text("here"))
        for number in 0..<count { #expect(try flood.receive() == .text("\(number)")) }
        try flood.send(raw: frames((0..<500).map(String.init)))
        try flood.close(code: 1000)
        for number in 0..<500 { #expect(try flood.receive() == .text("\(number)")) }
        #expect(try flood.receive() == .close(1000, ""))
    }

    /// Closing means stopping: what waits is not acted on any more.
    @Test func whatWaitsIsDroppedAtTheClose() throws {
        let test = try GateUnderTest(loops: 1)
        let editor = ["permissions": #"{"doc:1":"editor"}"#]
        let flood = try test.connect("flood", editor, path: "/ws/doc:1")
        let bob = try test.connect("bob", editor, path: "/ws/doc:1")
        for peer in [flood, bob] { _ = try peer.receive(type: "welcome") }
        let message = #"{"type":"publish","resource":"doc:1","data":1}"#
        // An unmasked frame in the middle breaks a rule; what stands behind it is nothing.
        var broken: [UInt8] = []
        FrameWriter.append(.text, Array(message.utf8).span, to: &broken)
        let before = frames(Array(repeating: message, count: 300))
        let behind = frames(Array(repeating: message, count: 300))
        try flood.send(raw: before + broken + behind)
        #expect(try flood.receive(type: "closing")["code"] as? Int == 1002)
        for _ in 0..<300 { #expect(try bob.receive(type: "message")["data"] as? Int == 1) }
        // Nothing else was on its way.
        try test.redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"backend","text":"end"}"#)
        #expect(try bob.receiveMessage()["data"] as? String == "end")
    }

    /// From one loop to the others: more than may be on its way at once arrives whole, everywhere, in order.
    @Test func whatIsRelayedToOtherLoopsIsBoundedAndWhole() throws {
        let test = try GateUnderTest(loops: 2) { $0.sendQueue = 64 << 20 }
        let editor = ["permissions": #"{"doc:1":"editor"}"#]
        let members = try (0..<8).map { try test.connect("user\($0)", editor, path: "/ws/doc:1", raw: true) }
        let filler = String(repeating: "x", count: 2000)
        let count = 3000
        for part in 0..<3 {
            try members[0].send(raw: frames((part * 1000..<part * 1000 + 1000).map { "\($0) \(filler)" }))
        }
        for member in members.dropFirst() {
            for number in 0..<count {
                let text =
                    switch try member.receive() {
                    case .text(let text): text
                    default: ""
                    }
                #expect(text.hasPrefix("\(number) "))
            }
        }
    }
}

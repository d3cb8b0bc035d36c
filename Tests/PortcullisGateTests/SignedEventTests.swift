import Foundation
import PortcullisCore
import PortcullisCrypto
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// A gate that takes signed events alone.
@Suite(.serialized) struct SignedEventTests {
    private let secret = HMACKey(SecretBytes(Array("a key of which every byte is secret".utf8).span), hash: .sha256)

    private func signed(_ event: String, ago: Int64 = 0) throws -> String {
        let now = Int64(Date().timeIntervalSince1970 * 1000) - ago
        let json = event.dropLast() + #","at_ms":\#(now)}"#
        return String(decoding: try EventKey(secret).sign(Array(json.utf8)), as: UTF8.self)
    }

    private func rejected(_ test: GateUnderTest) -> [String] {
        test.reports.all.compactMap {
            switch $0 {
            case .eventRejected(let rejection), .logEntryRejected(_, let rejection): rejection.label
            default: nil
            }
        }
    }

    @Test func onlyWhatIsSignedIsEnforced() throws {
        let test = try GateUnderTest { $0.eventKey = secret }
        let alice = try test.connect("alice", raw: true)
        let revoke = #"{"v":1,"event":"e1","type":"revoke","select":{"user":"alice"}}"#
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        try test.publish(revoke)
        try test.publish(String(try signed(revoke).replacing("alice", with: "alicf")))
        try test.publish(try signed(revoke, ago: 26 * 3_600_000))
        try test.publish(try signed(revoke, ago: -61_000))
        try test.publish(#"{"v":1,"event":"n","type":"notify","select":{"user":"alice"},"data":1}"#)
        // Somebody who may write to Redis, but has no key.
        try test.append(.block(Selector(ids: [.user: "alice"]), except: nil, until: nil), id: "forged")
        try test.wait("all are refused") { rejected(test).count >= 7 }
        #expect(
            rejected(test).prefix(7).sorted() == [
                "bad_signature", "unsigned", "unsigned", "unsigned", "unsigned", "wrong_time", "wrong_time",
            ]
        )
        try alice.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try alice.receive() == .pong)
        #expect(try test.connect("alice", raw: true).status == 101)
        try test.publish(try signed(revoke))
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
    }

    /// Who may append but has no key holds an old event that was signed: it lifts no block that came since. An hour later it counts no more,
    /// wherever it is put; what keeps the order that it had may be signed later.
    @Test func anOldEventUnderANewOrderIsRefused() throws {
        let test = try GateUnderTest { $0.eventKey = secret }
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        func write(_ id: String, _ event: String, order: Int64) throws {
            try test.redis.ask("XADD", "portcullis:log", "*", "e", event, "i", id, "o", "\(order)")
        }
        let block = try signed(#"{"v":1,"event":"b","type":"block","select":{"user":"alice"}}"#)
        let copy = try signed(#"{"v":1,"event":"c","type":"block","select":{"user":"carol"}}"#)
        let unblock = #"{"v":1,"event":"u","type":"unblock","select":{"user":"alice"}}"#
        try write("b", block, order: now)
        try write("c", copy, order: now - 20 * 3_600_000)
        try test.wait("both stand") { test.gate.status.standing == 2 }
        let old = try signed(unblock, ago: 3_700_000)
        try write("u", old, order: now + 1000)
        try test.publish(old)
        let entry = #"{"id":"\#(now + 2000)-0","prev":"\#(now)-0","i":"u","o":\#(now + 2000),"event":\#(old)}"#
        try test.publish(entry)
        try test.wait("all three are refused") { rejected(test).count >= 3 }
        #expect(rejected(test) == ["wrong_time", "wrong_time", "wrong_time"])
        for user in ["alice", "carol"] { #expect(try test.connect(user, raw: true).status == 403) }
        // Within the hour it counts.
        try write("u", try signed(unblock, ago: 3_500_000), order: now + 1000)
        try test.wait("it is lifted") { try test.connect("alice", raw: true).status == 101 }
    }

    @Test func whatWasAdoptedIsSignedStill() throws {
        let redis = try RedisServer()
        var test: GateUnderTest? = try GateUnderTest(redis: redis) { $0.eventKey = secret }
        let token = try #require(try test?.token("alice"))
        try test?.publish(try signed(#"{"v":1,"event":"b","type":"block","select":{"user":"alice"}}"#))
        try test?.wait("the event is adopted") { try redis.ask("XLEN", "portcullis:log") == .integer(1) }
        // Another gate reads it; and puts it back, signed anew, when Redis has lost it.
        test = nil
        let next = try GateUnderTest(redis: redis) { $0.eventKey = secret }
        #expect(try next.connect("alice", token: token).status == 403)
        try redis.ask("FLUSHALL")
        try next.wait("it is put back") { try redis.ask("XLEN", "portcullis:log") == .integer(1) }
        let third = try GateUnderTest(redis: redis, node: "third") { $0.eventKey = secret }
        #expect(try third.connect("alice", token: token).status == 403)
        #expect(rejected(next).isEmpty && rejected(third).isEmpty)
    }
}

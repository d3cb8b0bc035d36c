import PortcullisCore
import PortcullisWire
import TestKit
import Testing

/// What is read without objects decides what the full reader decides.
@Suite struct PlainEventTests {
    private func plain(_ text: String) -> PlainEvent? {
        let bytes = Array(text.utf8)
        return PlainEvent(bytes.span, 0..<bytes.count)
    }

    /// Both ways into a replica each; nothing may tell them apart.
    private func agree(_ bytes: [UInt8], _ comment: Comment) -> Bool? {
        guard let plain = PlainEvent(bytes.span, 0..<bytes.count) else { return nil }
        do throws(EventRejection) {
            let event = try EventCodec.decode(bytes, roles: .standard, mayLackID: true)
            let key: [UInt8] = Array("e1".utf8)
            let order: Int64 = 1_700_000_000_000
            let all = bytes + key
            var short = StandingDecisions()
            var long = StandingDecisions()
            let place = bytes.count..<all.count
            let isTaken = short.take(plain.decision(key: place, order: order), of: all.span, mayInsert: true)
            #expect(isTaken, comment)
            long.apply(LoggedEvent(key: "e1", order: order, event: event))
            #expect(event.id?.bytes == plain.event.map { Array(bytes[$0]) }, comment)
            // All that a replica holds it can put back.
            short.beginReading()
            long.beginReading()
            let (copies, others) = (copies(short), copies(long))
            #expect(copies == others && copies.count == 1, comment)
            return true
        } catch {
            Issue.record("taken, but \(error): \(String(decoding: bytes, as: UTF8.self))")
            return false
        }
    }

    private func copies(_ standing: borrowing StandingDecisions) -> [LoggedEvent] {
        var search = standing.searchForMissing()
        return standing.missing(&search, now: WallTime(milliseconds: 0), rows: 10, copies: 10)
    }

    private static let good = [
        #"{"v":1,"event":"01J","type":"revoke","at_ms":1700000000123,"actor":"admin:ops","reason":"r","message":"m","select":{"user":"alice"},"issued_before_ms":1700000000123,"expires_at_ms":1900000000000,"ack":true}"#,
        #"{"v":1,"type":"revoke","select":{"token":"a-b"}}"#, #"{"v":1,"type":"revoke","select":{"session":"s"}}"#,
        #"{"v":1,"type":"revoke","select":{"device":"d"},"issued_before_ms":"never"}"#,
        #"{"select":{"tenant":"t"},"type":"block","until_ms":1900000000000,"event":"x","v":1,"ack":false}"#,
        #" { "v" : 1 , "type" : "block" , "select" : { "user" : "a b" } } "#,
        #"{"v":1,"type":"revoke","select":{"user":"u"},"issued_before_ms":0}"#,
    ]

    @Test(arguments: good) func isTaken(_ text: String) {
        #expect(agree(Array(text.utf8), "\(text)") == true)
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"v":1,"type":"revoke"}"#, #"{"v":2,"type":"revoke","select":{"user":"a"}}"#,
        #"{"v":1.0,"type":"revoke","select":{"user":"a"}}"#, #"{"v":01,"type":"revoke","select":{"user":"a"}}"#,
        #"{"v":1,"v":1,"type":"revoke","select":{"user":"a"}}"#, #"{"v":1,"type":"revoke","select":{"user":""}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a","tenant":"b"}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a","user":"a"}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"\u0061"}}"#, #"{"v":1,"type":"revoke","select":{"user":"é"}}"#,
        #"{"v":1,"type":"revoke","select":{"all":true}}"#, #"{"v":1,"type":"revoke","select":{"ip":"1.2.3.4"}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"except":{"session":"s"}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"until_ms":1}"#,
        #"{"v":1,"type":"block","select":{"user":"a"},"expires_at_ms":1}"#,
        #"{"v":1,"type":"block","select":{"token":"a"}}"#, #"{"v":1,"type":"unblock","select":{"user":"a"}}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"sig":"x"}"#, #"{"v":1,"type":"revoke","select":{"user":"a"}}x"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},}"#, #"{"v":1,"type":"revoke","select":{"user":"a"}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":-1}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":1e3}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":1234567890123456789}"#,
        #"{"v":1,"type":"revoke","select":{"user":"a"},"reason":null}"#,
        "{\"v\":1,\"type\":\"revoke\",\"select\":{\"user\":\"a\u{7F}\"}}",
    ])
    func isLeftToTheFullReader(_ text: String) {
        #expect(plain(text) == nil)
    }

    @Test func tooLongIsLeftToTheFullReader() {
        let long = String(repeating: "a", count: 256)
        #expect(plain(#"{"v":1,"type":"revoke","select":{"user":"\#(long)"}}"#) == nil)
        let large = String(repeating: "a", count: 64 << 10)
        #expect(plain(#"{"v":1,"type":"revoke","select":{"user":"u"},"message":"\#(large)"}"#) == nil)
    }

    /// Bytes changed, left out and put twice: what is taken all the same is what the full reader reads.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func mutations(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var taken = 0
        let signs = Array(#"{}[]":,\ 019a-.eE"#.utf8) + [0, 0x7F, 0xC3, 0xFF]
        for _ in 0..<4000 {
            var bytes = Array((Self.good.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0x61...0x7A, using: &random)
                case 1: bytes[at] = signs.randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: at)
                case 3: bytes.insert(signs.randomElement(using: &random) ?? 0, at: at)
                default:
                    let end = min(bytes.count, at + Int.random(in: 1...20, using: &random))
                    bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
                }
            }
            if agree(bytes, "\(String(decoding: bytes, as: UTF8.self))") != nil { taken += 1 }
        }
        #expect(taken > 100)
    }

    @Test func asItStands() {
        func standing(_ text: String) -> Int64? {
            let bytes = Array(text.utf8)
            return PlainEvent.standing(bytes.span, 0..<bytes.count)?.order
        }
        let event = #"{"v":1,"type":"revoke","select":{"user":"a"}}"#
        #expect(standing(#"{"o":17,"event":\#(event)}"#) == 17)
        for odd in [
            #"{"o":17,"event":\#(event)}}"#, #"{"o":-1,"event":\#(event)}"#, #"{"event":\#(event),"o":1}"#, "", "{",
        ] {
            #expect(standing(odd) == nil, "\(odd)")
        }
    }
}

import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Events that nobody should write: exactly the named ones are touched, or nobody, and it is told. None stops the gate.
@Suite(.serialized) struct PoisonedEventTests {
    /// What readiness and the log show for what was refused.
    private func rejected(_ test: GateUnderTest) -> [String] {
        test.reports.all.compactMap {
            switch $0 {
            case .eventRejected(let rejection), .logEntryRejected(_, let rejection): rejection.label
            default: nil
            }
        }
    }

    private func losses(_ test: GateUnderTest) -> Int {
        test.reports.all.count { if case .redisLost = $0 { true } else { false } }
    }

    private func expectServed(_ peer: WebSocketPeer, _ comment: Comment) throws {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try peer.receive() == .pong, comment)
    }

    /// The gate vouches, `bystander` is served, and the next good decision is enforced at once.
    private func expectUnharmed(
        _ test: GateUnderTest,
        _ bystander: WebSocketPeer,
        _ comment: Comment,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let victim = try test.connect("victim", raw: true)
        #expect(victim.status == 101, comment, sourceLocation: sourceLocation)
        let select = Selector(ids: [.user: "victim"])
        guard case .appended(_, let order, _) = try test.append(.block(select, except: nil, until: nil)) else {
            Issue.record("not appended: \(comment)", sourceLocation: sourceLocation)
            return
        }
        #expect(
            abs(order - Int64(Date().timeIntervalSince1970 * 1000)) < 60_000,
            comment,
            sourceLocation: sourceLocation
        )
        #expect(try victim.receiveClose() == .close(4423, "blocked"), comment, sourceLocation: sourceLocation)
        #expect(try test.connect("victim", raw: true).status == 403, comment, sourceLocation: sourceLocation)
        try test.append(.unblock(select))
        try test.wait("the unblock is enforced") { try test.connect("victim", raw: true).status == 101 }
        try expectServed(bystander, comment)
        #expect(test.gate.status.isReady, comment, sourceLocation: sourceLocation)
        #expect(losses(test) == 0, comment, sourceLocation: sourceLocation)
    }

    private func ask(_ test: GateUnderTest, _ words: [[UInt8]]) throws -> RESPValue {
        try BlockingConnection(test.redis.url, timeout: 10_000).ask(Command(words))
    }

    // MARK: - Published

    @Test func whatIsNoEventTouchesNobody() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let select = #""select":{"user":"alice"}"#
        let deep = String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40)
        let bad: [(String, String)] = [
            ("", "not_json"), ("\u{0}", "not_json"), ("nul", "not_json"), ("[]", "not_json"),
            (#"{"v":1,"type":"revoke",\#(select)} x"#, "not_json"), (String(repeating: "{", count: 60_000), "not_json"),
            (#"{"v":1,"type":"notify",\#(select),"data":\#(deep)}"#, "not_json"),
            (#"{"v":1,"type":"revoke",\#(select),"reason":"\#(String(repeating: "a", count: 5 << 20))"}"#, "too_large"),
            (#"{"v":1,"type":"revoke",\#(select),"reason":"\ud800"}"#, "not_json"),
            (#"{"v":1,"type":"revoke",\#(select),"v":1}"#, "not_json"),
            (#"{"v":"1","type":"revoke",\#(select)}"#, "unknown_version"),
            (#"{"v":1e99,"type":"revoke",\#(select)}"#, "unknown_version"),
            (#"{"v":1,"type":"Revoke",\#(select)}"#, "unknown_type"),
            (#"{"v":1,"type":"\#(String(repeating: "t", count: 60_000))",\#(select)}"#, "unknown_type"),
            (#"{"v":1,"type":"revoke","select":{}}"#, "empty_selector"),
            (#"{"v":1,"type":"revoke","select":null}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":[{"user":"alice"}]}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"all":false}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"user":["alice"]}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"user":"a\u0000b"}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"user":"\#(String(repeating: "a", count: 256))"}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"user":""}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke","select":{"user":"alice","planet":"mars"}}"#, "unknown_selector"),
            (#"{"v":1,"type":"revoke","select":{"ip":"10.0.0.0/99"}}"#, "bad_field"),
            (#"{"v":1,"type":"revoke",\#(select),"except":{}}"#, "empty_selector"),
            (#"{"v":1,"type":"revoke",\#(select),"issued_before_ms":9223372036854775808}"#, "bad_field"),
            (#"{"v":1,"type":"revoke",\#(select),"issued_before_ms":1e300}"#, "bad_field"),
            (#"{"v":1,"type":"revoke",\#(select),"issued_before_ms":-1}"#, "bad_field"),
            (#"{"v":1,"event":"r","type":"reauthenticate",\#(select),"within_s":9223372036854775807}"#, "bad_field"),
            (#"{"v":1,"event":"r","type":"reauthenticate",\#(select),"within_s":1e30}"#, "bad_field"),
            (#"{"v":1,"type":"block",\#(select)}"#, "needs_id"),
            (#"{"v":1,"event":"a\nb","type":"block",\#(select)}"#, "bad_field"),
            (
                #"{"v":1,"event":"p","type":"permit","user":"alice","resource":"d","role":"editor","version":1000000000000001}"#,
                "bad_field"
            ),
            (#"{"v":1,"event":"p","type":"permit","user":"alice","resource":"d","role":"god"}"#, "bad_field"),
            (#"{"v":1,"type":"disconnect",\#(select),"code":1006}"#, "bad_field"),
        ]
        for (event, _) in bad { try test.publish(event) }
        // Not UTF-8, by itself and within.
        let broken: [[UInt8]] = [
            [0xFF, 0xFE], Array(#"{"v":1,"type":"revoke","select":{"user":"al"#.utf8) + [0xC3] + Array(#"ice"}}"#.utf8),
        ]
        for bytes in broken { _ = try ask(test, [Array("PUBLISH".utf8), Array("portcullis:events".utf8), bytes]) }
        let expected = bad.map(\.1) + ["not_json", "not_json"]
        try test.wait("all are refused") { rejected(test).count >= expected.count }
        for (label, (event, wanted)) in zip(rejected(test), bad) { #expect(label == wanted, "\(event.prefix(120))") }
        #expect(rejected(test) == expected)
        let unknown = expected.count { $0.hasPrefix("unknown_") }
        try test.wait("unknown events are shown") { test.gate.status.unknownEvents == unknown }
        try expectServed(alice, "alice")
        #expect(try test.redis.ask("EXISTS", "portcullis:log") == .integer(0))
        try expectUnharmed(test, alice, "after all of them")
    }

    /// A user is named by all of its bytes: no pattern, no prefix, no part of a key.
    @Test func exactlyTheNamedOneIsTouched() throws {
        let test = try GateUnderTest()
        let names = [
            "1", "10", "1*", "a", "a:b", "a:b:c", "*", "al", "alice", "Alice", "alice ", "alíce", "ali\\u0063e2",
        ]
        var peers: [String: WebSocketPeer] = [:]
        for name in names { peers[name] = try test.connect(name, raw: true) }
        for name in ["1*", "a:b", "*", "al", "alice "] {
            try test.publish(#"{"v":1,"type":"revoke","select":{"user":"\#(name)"}}"#)
            let named = peers.removeValue(forKey: name)
            let peer = try #require(named)
            #expect(try peer.receiveClose() == .close(4410, "revoked"), "\(name)")
            for (other, peer) in peers { try expectServed(peer, "\(other) after \(name)") }
        }
        // The same name, spelled otherwise in JSON; and the same event over and over.
        for _ in 0..<50 { try test.publish(#"{"v":1,"type":"revoke","select":{"user":"\u0061lice"}}"#) }
        let named = peers.removeValue(forKey: "alice")
        let alice = try #require(named)
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        for (other, peer) in peers { try expectServed(peer, "\(other)") }
        try test.wait("all are adopted, once") { try test.redis.ask("XLEN", "portcullis:log") == .integer(6) }
        #expect(rejected(test).isEmpty)
    }

    @Test func largeAndFarIsTaken() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let bob = try test.connect("bob", raw: true)
        let data = "\"" + String(repeating: "d", count: 60_000) + "\""
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":\#(data)}"#)
        #expect(try alice.receive() == .text(data))
        // The greatest times that there are.
        let far = 999_999_999_999_999_999
        try test.publish(
            #"{"v":1,"event":"b","type":"block","select":{"user":"bob"},"until_ms":\#(far),"at_ms":\#(far)}"#
        )
        #expect(try bob.receiveClose() == .close(4423, "blocked"))
        try test.publish(
            #"{"v":1,"type":"revoke","select":{"user":"bob"},"issued_before_ms":\#(far),"expires_at_ms":\#(far)}"#
        )
        try test.wait("both are adopted") { test.gate.status.standing == 2 }
        #expect(try test.connect("bob", raw: true).status == 403)
        try expectUnharmed(test, alice, "after the greatest times")
    }

    // MARK: - Envelopes that nobody appended

    /// Who may publish can pretend that the log has an entry. What it decides is enforced as if it were bare; the position moves by the
    /// stream alone, and what the log holds under the same id stays.
    @Test func aForgedEnvelopeMovesNothing() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        let bystander = try test.connect("bystander", raw: true)
        let mallory = try test.token("mallory")
        try test.append(.revoke(.init(select: Selector(ids: [.user: "mallory"]), issuedBefore: .append)), id: "e1")
        let position = try #require(
            try test.redis.ask("XREVRANGE", "portcullis:log", "+", "-").array?.first?.array?.first?.text
        )
        try test.wait("it is read") { test.gate.status.position == position }
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        let forged: [(id: String, prev: String, key: String, order: String, event: String)] = [
            (
                "18446744073709551615-18446744073709551615", "0-0", "f1", "\(now)",
                #""type":"revoke","select":{"user":"x"}"#
            ),
            ("1-1", "18446744073709551615-0", "f2", "\(now)", #""type":"revoke","select":{"user":"x"}"#),
            // Under the id of what stands: against somebody else, or against nobody any more.
            ("2-1", "1-1", "e1", "\(now + 60_000)", #""type":"revoke","select":{"user":"x"}"#),
            (
                "2-2", "1-1", "e1", "\(now + 90_000)",
                #""type":"revoke","select":{"user":"mallory"},"issued_before_ms":0"#
            ),
            ("2-3", "1-1", "e1", "\(now + 90_000)", #""type":"revoke","select":{"user":"mallory"},"expires_at_ms":1"#),
            ("2-4", "1-1", "e1", "1", #""type":"block","select":{"user":"mallory"}"#),
        ]
        for envelope in forged {
            try test.publish(
                #"{"id":"\#(envelope.id)","prev":"\#(envelope.prev)","i":"\#(envelope.key)","o":\#(envelope.order),"event":{"v":1,\#(envelope.event)}}"#
            )
            try expectServed(bystander, "\(envelope.id)")
            #expect(try test.connect("mallory", raw: true, token: mallory).status == 401, "\(envelope)")
            try expectUnharmed(test, bystander, "\(envelope.id)")
            #expect(try test.connect("mallory", raw: true, token: mallory).status == 401, "\(envelope)")
        }
        #expect(!test.gate.status.position.hasPrefix("1844"))
        let refused = [
            // An order of the far future, or none.
            #""i":"g1","o":9000000000000000000,"#, #""i":"g2","o":9223372036854775807,"#, #""i":"g3","o":1e30,"#,
            #""i":"g4","o":-1,"#, #""i":"g5","o":"1","#, #""o":1,"#, #""i":"g6\u0000","o":1,"#,
            #""i":"g7","o":1,"version":9223372036854775807,"#, #""i":"g8","o":1,"version":1e30,"#,
        ]
        for members in refused {
            try test.publish(
                #"{"id":"3-1","prev":"0-0",\#(members)"event":{"v":1,"type":"unblock","select":{"user":"victim"}}}"#
            )
        }
        try test.publish(
            #"{"id":"3","prev":"0-0","i":"g","o":1,"event":{"v":1,"type":"revoke","select":{"all":true}}}"#
        )
        try test.publish(
            #"{"id":"3-1","i":"g","o":1,"event":{"v":1,"event":"h","type":"revoke","select":{"all":true}}}"#
        )
        try test.wait("all are refused") { rejected(test).count == refused.count + 2 }
        try expectUnharmed(test, bystander, "after all of them")
    }

    /// A version that no log gave does not hide the changes that follow.
    @Test func aForgedVersionIsForgotten() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        try test.publish(
            #"{"id":"9-9","prev":"0-0","i":"p","o":1,"version":1000000000000000,"event":{"v":1,"type":"permit","user":"alice","resource":"d","role":"owner"}}"#
        )
        #expect(try alice.receive(type: "permission")["to"] as? String == "owner")
        var tries = 0
        // Within a renewal of the lease.
        try test.wait("a change is believed again") {
            try test.append(
                .permit(
                    .init(
                        user: "alice",
                        resource: "d",
                        role: tries.isMultiple(of: 2) ? RoleOrder.standard.viewer : RoleOrder.standard.editor,
                        version: nil
                    )
                )
            )
            tries += 1
            try alice.send(text: #"{"type":"publish","resource":"d","data":1,"ref":"\#(tries)"}"#)
            let answer = try alice.receiveMessage()
            return answer["type"] as? String == "permission"
        }
    }

    @Test func aPermitOfAnEnormousVersion() throws {
        let test = try GateUnderTest()
        let bystander = try test.connect("bystander", raw: true)
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        let permit =
            #"{"v":1,"event":"p","type":"permit","user":"alice","resource":"d","role":"editor","version":1000000000000000}"#
        try test.publish(permit)
        #expect(try alice.receive(type: "permission")["to"] as? String == "editor")
        // The next ones count on from there.
        for role in [RoleOrder.standard.viewer, RoleOrder.standard.editor, nil] {
            try test.append(.permit(.init(user: "alice", resource: "d", role: role, version: nil)))
            _ = try alice.receive(type: "permission")
        }
        #expect(try test.redis.ask("HGET", "portcullis:perm:alice", "d") == .bytes(Array("1000000000000003:".utf8)))
        // Written by hand, beyond all numbers: it refuses the one who asks, and the next permit mends it.
        try test.redis.ask("HSET", "portcullis:perm:alice", "d", "99999999999999999999:owner")
        #expect(try test.connect("alice", raw: true).status == 101)
        #expect(try test.connect("alice", path: "/ws/d", raw: true).status >= 400)
        try test.append(.permit(.init(user: "alice", resource: "d", role: RoleOrder.standard.viewer, version: nil)))
        try test.wait("it is mended") { try test.connect("alice", path: "/ws/d", raw: true).status == 101 }
        try expectUnharmed(test, bystander, "after enormous versions")
    }

    // MARK: - Written by hand

    @Test func entriesThatNoScriptWrote() throws {
        let redis = try RedisServer()
        var test = try GateUnderTest(redis: redis)
        var alice = try test.connect("alice", raw: true)
        let event = #"{"v":1,"event":"x","type":"revoke","select":{"user":"alice"}}"#
        let unnamed = #"{"v":1,"type":"revoke","select":{"user":"alice"}}"#
        let now = "\(Int64(Date().timeIntervalSince1970 * 1000))"
        let entries: [([String], String)] = [
            (["a", "b"], "bad_field"), (["e", event], "bad_field"), (["e", event, "i", "x"], "bad_field"),
            (["e", event, "o", now], "bad_field"), (["i", "x", "o", now], "bad_field"),
            (["e", event, "i", "y", "o", now], "bad_field"), (["e", unnamed, "i", "", "o", now], "bad_field"),
            (["e", unnamed, "i", "a\u{0}b", "o", now], "bad_field"),
            (["e", event, "i", "x", "o", "soon"], "bad_field"),
            (["e", event, "i", "x", "o", "9000000000000000000"], "bad_field"),
            (["e", event, "i", "x", "o", "99999999999999999999"], "bad_field"),
            (["e", event, "i", "x", "o", "9007199254740993"], "bad_field"),
            (["e", event, "i", "x", "o", "-1"], "bad_field"), (["e", event, "i", "x", "o", "1.5"], "bad_field"),
            (["e", event, "i", "x", "o", now, "version", "9223372036854775807"], "bad_field"),
            (["e", event, "i", "x", "o", now, "version", "new"], "bad_field"),
            (["e", "{", "i", "x", "o", now], "not_json"),
            (["e", #"{"v":3}"#, "i", "x", "o", now], "unknown_version"),
            (["e", String(repeating: " ", count: 5 << 20) + event, "i", "x", "o", now], "too_large"),
        ]
        for (fields, _) in entries {
            let words = ["XADD", "portcullis:log", "*"] + fields
            #expect(try ask(test, words.map { Array($0.utf8) }).bytes != nil)
        }
        try test.wait("all are refused") { rejected(test).count >= entries.count }
        for (label, (fields, wanted)) in zip(rejected(test), entries) {
            #expect(label == wanted, "\(fields.map { $0.prefix(80) })")
        }
        #expect(rejected(test).count == entries.count)
        try test.wait("one is unknown") { test.gate.status.unknownEvents == 1 }
        try expectUnharmed(test, alice, "after entries by hand")
        // A well-formed one is a decision, by whomever it was written.
        _ = try ask(test, ["XADD", "portcullis:log", "*", "e", event, "i", "x", "o", now].map { Array($0.utf8) })
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        // A gate that starts reads the same, and is as little impressed.
        test = try GateUnderTest(redis: redis, node: "next")
        alice = try test.connect("alice", raw: true)
        #expect(rejected(test) == entries.map(\.1))
        try expectUnharmed(test, alice, "a gate that starts with them")
    }

    @Test func standingDecisionsThatNoScriptWrote() throws {
        let redis = try RedisServer()
        let first = try GateUnderTest(redis: redis, node: "first")
        let good = #"{"o":1,"event":{"v":1,"event":"good","type":"block","select":{"user":"mallory"}}}"#
        let block = #"{"v":1,"event":"x","type":"block","select":{"user":"alice"}}"#
        let fields: [(String, String)] = [
            ("x", ""), ("x1", "[]"), ("x2", #"{"o":1}"#), ("x3", #"{"event":\#(block)}"#),
            ("x4", #"{"o":1,"event":\#(block)}"#), ("x", #"{"o":9000000000000000000,"event":\#(block)}"#),
            ("x", #"{"o":-1,"event":\#(block)}"#), ("x", #"{"o":"1","event":\#(block)}"#),
            ("", #"{"o":1,"event":{"v":1,"type":"revoke","select":{"user":"alice"}}}"#),
            ("x", #"{"o":1,"event":{"v":7,"event":"x"}}"#),
        ]
        try redis.ask("HSET", "portcullis:standing", "good", good)
        for (index, (key, value)) in fields.enumerated() {
            try redis.ask("HSET", "portcullis:standing", key, value)
            let test = try GateUnderTest(redis: redis, node: "n\(index)")
            let alice = try test.connect("alice", raw: true)
            #expect(alice.status == 101, "\(key) \(value)")
            #expect(try test.connect("mallory", raw: true).status == 403, "\(key) \(value)")
            #expect(rejected(test).count == 1, "\(key) \(value): \(rejected(test))")
            try redis.ask("HDEL", "portcullis:standing", key)
        }
        try expectUnharmed(first, try first.connect("bystander", raw: true), "after all of them")
        #expect(try redis.ask("HEXISTS", "portcullis:standing", "good") == .integer(1))
    }

    /// `P:order` is what the next decision follows on: no text in it stops or misleads the script.
    @Test(arguments: ["9000000000000000000", "1e400", "inf", "nan", "-5", "x", "", "0x7fffffffffffffff"])
    func anOrderByHand(order: String) throws {
        let test = try GateUnderTest()
        let bystander = try test.connect("bystander", raw: true)
        try test.redis.ask("SET", "portcullis:order", order)
        try expectUnharmed(test, bystander, "\(order)")
    }

    @Test(arguments: [9_000_000_000_000_000_000, .max, -1, .min] as [Int64])
    func aCopyOfAnImpossibleOrder(order: Int64) throws {
        let test = try GateUnderTest()
        let bystander = try test.connect("bystander", raw: true)
        let event = Event(
            id: "c",
            decision: .revoke(.init(select: Selector(ids: [.user: "bystander"]), issuedBefore: .append))
        )
        let command = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: "c",
            order: order,
            epoch: "e",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        guard case .refused(let why) = AppendScript.Answer(try BlockingConnection(test.redis.url).ask(command)) else {
            Issue.record("it was taken")
            return
        }
        #expect(why.hasPrefix("BADEVENT"))
        try expectUnharmed(test, bystander, "\(order)")
    }

    // MARK: - The control channel, and errors

    @Test func messagesOnAGatesOwnChannel() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let channel = Array("portcullis:ctl:test".utf8)
        let query = #"{"v":1,"query":"connections","id":"q","select":{"user":"alice"}"#
        let texts = [
            "", "x", String(repeating: "a", count: 1 << 20), String(repeating: "[", count: 50_000), "{}",
            #"{"v":2,"probe":"1"}"#,
            #"{"v":1,"query":"passwords","id":"q"}"#, #"{"v":1,"query":"connections"}"#,
            query + #","limit":9223372036854775807}"#,
            query + #","limit":0}"#, #"{"v":1,"query":"connections","id":"q","select":{}}"#,
            #"{"v":1,"query":"connections","id":"a\u0000b","select":{"all":true}}"#,
        ]
        let messages = texts.map { Array($0.utf8) } + [[0xFF, 0x00, 0xC3]]
        for message in messages { _ = try ask(test, [Array("PUBLISH".utf8), channel, message]) }
        // Nonces that are none, or another's.
        for nonce in ["", "zz", "ffffffffffffffffffffffff", "1"] {
            _ = try ask(test, [Array("PUBLISH".utf8), channel, Array(#"{"v":1,"probe":"\#(nonce)"}"#.utf8)])
        }
        try test.wait("all are refused") { rejected(test).count >= messages.count }
        #expect(rejected(test).count == messages.count)
        try expectUnharmed(test, alice, "after messages on the control channel")
    }

    /// An error that Redis answers refuses the one handshake that asked.
    @Test func aKeyOfTheWrongTypeRefusesOneHandshake() throws {
        let test = try GateUnderTest()
        let bystander = try test.connect("bystander", raw: true)
        try test.redis.ask("RPUSH", "session:list", "x")
        try test.redis.ask("SET", "portcullis:perm:bob", "no hash")
        func cookie(_ session: String) throws -> Int {
            try WebSocketPeer(
                test.gate.endpoint,
                headers: ["Cookie: session_id=\(session)", "Origin: http://\(test.gate.endpoint)"]
            ).status
        }
        for _ in 0..<20 {
            #expect(try cookie("list") == 503)
            #expect(try test.connect("bob", ["permissions": #"{"d":"owner"}"#], path: "/ws/d", raw: true).status == 503)
        }
        #expect(try test.connect("bob", raw: true).status == 101)
        try expectUnharmed(test, bystander, "after keys of the wrong type")
    }
}

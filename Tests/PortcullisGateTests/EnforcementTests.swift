import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Revoked, blocked, permitted: against a real gate with a real Redis.
@Suite(.serialized) struct EnforcementTests {
    @Test func revokesByUserAndSparesTheOthers() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice")
        let alsoAlice = try test.connect("alice", raw: true)
        let bob = try test.connect("bob")
        #expect(alice.status == 101)
        #expect(try alice.receive(type: "welcome")["user"] as? String == "alice")
        let old = try test.token("alice")
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        let closing = try alice.receive(type: "closing")
        #expect(closing["code"] as? Int == 4410)
        #expect(closing["reconnect"] as? String == "never")
        #expect(try alice.receive() == .close(4410, "revoked"))
        #expect(try alice.receive() == .end)
        #expect(try alsoAlice.receiveClose() == .close(4410, "revoked"))
        // Bob is still heard and served.
        try bob.send(text: #"{"type":"nonsense"}"#)
        #expect(try bob.receive(type: "error")["code"] as? String == "unknown_type")
        // The revoked token does not come back; one issued later does.
        let back = try test.connect("alice", raw: true, token: old)
        #expect(back.status == 401)
        #expect(back.body.contains(#""code":"revoked""#))
        // The moment that counts is that of the adoption, and the gate's guess at it until it has read the log.
        try test.wait("the event is adopted") { try test.redis.ask("XLEN", "portcullis:log") == .integer(1) }
        try test.wait("the gate has read it") { !test.gate.status.position.isEmpty }
        let later = try test.connect("alice", raw: true)
        #expect(later.status == 101, "\(later.body)")
    }

    @Test(arguments: [#"{"session":"s1"}"#, #"{"token":"t1"}"#])
    func revokesBySessionAndToken(select: String) throws {
        let test = try GateUnderTest()
        let first = try test.connect("alice", ["sid": #""s1""#, "jti": #""t1""#], raw: true)
        let second = try test.connect("alice", ["sid": #""s2""#, "jti": #""t2""#], raw: true)
        try test.publish(#"{"v":1,"type":"revoke","select":\#(select)}"#)
        #expect(try first.receiveClose() == .close(4410, "revoked"))
        // A later token of the same session or id is refused too; the other one stays.
        let again = try test.token(
            "alice",
            ["sid": #""s1""#, "jti": #""t1""#],
            issued: Date().timeIntervalSince1970 + 1
        )
        #expect(try test.connect("alice", token: again).status == 401)
        try second.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try second.receive() == .pong)
    }

    @Test func aRestartForgetsNothing() throws {
        let redis = try RedisServer()
        var test: GateUnderTest? = try GateUnderTest(redis: redis)
        let token = try #require(try test?.token("alice", ["jti": #""t1""#]))
        let alice = try #require(try test?.connect("alice", token: token))
        try test?.publish(#"{"v":1,"type":"revoke","select":{"token":"t1"}}"#)
        _ = try alice.receiveClose()
        // Adopted: the log has it, once.
        try test?.wait("the event is adopted") { try redis.ask("XLEN", "portcullis:log") == .integer(1) }
        test = nil
        let next = try GateUnderTest(redis: redis)
        #expect(try next.connect("alice", token: token).status == 401)
    }

    @Test func twoGatesAdoptABareEventOnce() throws {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one")
        let two = try GateUnderTest(redis: redis, node: "two")
        let alice = try one.connect("alice", raw: true)
        let alsoAlice = try two.connect("alice", raw: true)
        try one.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        #expect(try alsoAlice.receiveClose() == .close(4410, "revoked"))
        try one.append(.unblock(Selector(ids: [.user: "nobody"])))
        // Both have followed the log to its end, behind whatever either of them has appended.
        let tail = try redis.ask("XREVRANGE", "portcullis:log", "+", "-", "COUNT", "1").array?.first?.array?.first?.text
        try one.wait("both follow") { one.gate.status.position == tail && two.gate.status.position == tail }
        #expect(try redis.ask("XLEN", "portcullis:log") == .integer(2))
    }

    @Test func blocksUntilUnblocked() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let select = Selector(ids: [.user: "alice"])
        try test.append(.block(select, except: nil, until: nil))
        #expect(try alice.receiveClose() == .close(4423, "blocked"))
        let later = try test.token("alice", issued: Date().timeIntervalSince1970 + 1)
        let refused = try test.connect("alice", raw: true, token: later)
        #expect(refused.status == 403)
        #expect(refused.body.contains(#""code":"blocked""#))
        try test.append(.unblock(select))
        let tail = try test.redis.ask("XREVRANGE", "portcullis:log", "+", "-", "COUNT", "1")
            .array?.first?.array?.first?.text
        try test.wait("the gate has read it") { test.gate.status.position == tail }
        #expect(try test.connect("alice").status == 101)
    }

    @Test func permitChangesALiveConnection() throws {
        let test = try GateUnderTest()
        let refused = try test.connect("alice", path: "/ws/doc:42", raw: true)
        #expect(refused.status == 403)
        #expect(refused.body.contains("forbidden_resource"))
        let roles = RoleOrder.standard
        func permit(_ role: String?) throws {
            let role = role.flatMap { roles.role(named: Identifier($0)) }
            try test.append(.permit(.init(user: "alice", resource: "doc:42", role: role, version: nil)))
        }
        try permit("editor")
        let alice = try test.connect("alice", path: "/ws/doc:42")
        let welcome = try alice.receive(type: "welcome")
        #expect(welcome["role"] as? String == "editor")
        let bob = try test.connect("bob", ["permissions": #"{"doc:42":"viewer"}"#], path: "/ws/doc:42")
        _ = try bob.receive(type: "welcome")
        try alice.send(text: #"{"type":"publish","resource":"doc:42","data":{"n":1}}"#)
        let message = try bob.receive(type: "message")
        #expect(message["user"] as? String == "alice")
        #expect((message["data"] as? [String: Any])?["n"] as? Int == 1)
        try bob.send(text: #"{"type":"publish","resource":"doc:42","data":1,"ref":"r"}"#)
        let error = try bob.receive(type: "error")
        #expect(error["code"] as? String == "forbidden")
        #expect(error["ref"] as? String == "r")
        try permit("viewer")
        let change = try alice.receive(type: "permission")
        #expect(change["from"] as? String == "editor")
        #expect(change["to"] as? String == "viewer")
        try alice.send(text: #"{"type":"publish","resource":"doc:42","data":2}"#)
        #expect(try alice.receive(type: "error")["code"] as? String == "forbidden")
        try permit(nil)
        #expect(try alice.receive(type: "permission")["to"] is NSNull)
        #expect(try alice.receiveClose() == .close(4403, "permission_revoked"))
    }

    @Test func notifiesAndDisconnects() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice")
        let raw = try test.connect("alice", raw: true)
        _ = try alice.receive(type: "welcome")
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":{"hello":1}}"#)
        #expect((try alice.receive(type: "notice")["data"] as? [String: Any])?["hello"] as? Int == 1)
        #expect(try raw.receive() == .text(#"{"hello":1}"#))
        try test.publish(#"{"v":1,"type":"disconnect","select":{"user":"alice"},"code":4000,"reason":"later"}"#)
        #expect(try raw.receiveClose() == .close(4000, "later"))
        #expect(try test.connect("alice").status == 101)
    }

    @Test func aMalformedEventTouchesNobodyAndIsTold() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let bad = [
            "not json", "{}", #"{"v":1,"type":"revoke","select":{}}"#, #"{"v":1,"type":"revoke"}"#,
            #"{"v":2,"type":"revoke","select":{"user":"alice"}}"#, #"{"v":1,"type":"smite","select":{"user":"alice"}}"#,
            #"{"v":1,"type":"revoke","select":{"usr":"alice"}}"#, #"{"v":1,"type":"block","select":{"user":"alice"}}"#,
            #"{"v":1,"type":"revoke","select":{"user":"alice"},"select":{"user":"alice"}}"#,
            String(repeating: "[", count: 100_000),
        ]
        for event in bad { try test.publish(event) }
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":1}"#)
        #expect(try alice.receive() == .text("1"))
        let rejected = test.reports.all.filter { if case .eventRejected = $0 { true } else { false } }
        #expect(rejected.count == bad.count)
        try test.wait("unknown events are shown") { test.gate.status.unknownEvents == 4 }
    }
}

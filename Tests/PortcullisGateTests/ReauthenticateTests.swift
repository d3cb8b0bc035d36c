import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Live connections whose user must sign in anew.
@Suite(.serialized) struct ReauthenticateTests {
    private func demand(_ user: Identifier, within: Milliseconds) -> Decision {
        .reauthenticate(Selector(ids: [.user: user]), except: nil, within: within)
    }

    private func lives(_ peer: WebSocketPeer) throws -> Bool {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        return try peer.receive() == .pong
    }

    private func refresh(_ peer: WebSocketPeer, _ token: String) throws -> [String: Any] {
        try peer.send(text: #"{"type":"refresh","token":"\#(token)"}"#)
        return try peer.receiveMessage()
    }

    /// A token of a user who signs in now.
    private func fresh(_ test: GateUnderTest, _ user: String) throws -> String {
        let now = (Date().timeIntervalSince1970 * 1000).rounded(.down) / 1000
        return try test.token(user, ["auth_time": String(format: "%.3f", now)])
    }

    @Test func theDeadlineIsToldAndKept() throws {
        let test = try GateUnderTest()
        let signedIn = ["auth_time": "\(Int(Date().timeIntervalSince1970) - 60)"]
        let (idle, prompt) = (try test.connect("alice", signedIn), try test.connect("alice", signedIn))
        let (raw, bob) = (try test.connect("alice", raw: true), try test.connect("bob"))
        for peer in [idle, prompt, bob] { _ = try peer.receive(type: "welcome") }
        var event = Event(id: "r", decision: demand("alice", within: .seconds(8)), reason: "new_device")
        event.message = "Please sign in."
        event.wantsReceipt = true
        let append = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: "r",
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        _ = try BlockingConnection(test.redis.url).ask(append)
        for peer in [idle, prompt] {
            let told = try peer.receiveMessage()
            #expect(told["type"] as? String == "reauthenticate")
            #expect(told["reason"] as? String == "new_device")
            #expect((0...8).contains(try #require(told["deadline_s"] as? Double)))
        }
        try test.wait("the receipt") { try test.redis.ask("LLEN", "portcullis:ack:r") == .integer(1) }
        let receipt = try test.redis.ask("LINDEX", "portcullis:ack:r", "0").text ?? ""
        #expect(receipt.contains(#""matched":3,"closed":0,"narrowed":0"#), "\(receipt)")
        // Handshakes with the old sign-in are refused from here on.
        #expect(try test.connect("alice", signedIn, raw: true).status == 403)
        let refused = try refresh(prompt, test.token("alice", signedIn))
        #expect(refused["code"] as? String == "forbidden")
        #expect((refused["detail"] as? String)?.hasPrefix("reauthentication_required: ") == true)
        // The gate's guess at Redis' time may be behind by little.
        try test.wait("the sign-in is later") {
            try refresh(prompt, fresh(test, "alice"))["type"] as? String == "refreshed"
        }
        let closing = try idle.receiveMessage()
        #expect(closing["type"] as? String == "closing")
        #expect(closing["detail"] as? String == "Please sign in.")
        #expect(try idle.receive() == .close(4401, "expired"))
        #expect(try raw.receive() == .close(4401, "expired"))
        for peer in [prompt, bob] { #expect(try lives(peer)) }
        // A later one asks again.
        try test.append(demand("alice", within: .seconds(1)))
        #expect(try prompt.receiveMessage()["reason"] as? String == "reauthentication_required")
        #expect(try prompt.receiveClose() == .close(4401, "expired"))
    }

    @Test func withoutADeadlineItClosesAtOnce() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        try test.append(demand("alice", within: Milliseconds(0)))
        #expect(try alice.receiveMessage()["type"] as? String == "closing")
        #expect(try alice.receive() == .close(4401, "expired"))
    }

    @Test func whatIsLiftedIsDemandedNoMore() throws {
        let test = try GateUnderTest()
        let (alice, bob) = (try test.connect("alice", raw: true), try test.connect("bob", raw: true))
        try test.append(demand("alice", within: .seconds(4)), id: "a")
        try test.append(.lift(event: "a"))
        try test.append(demand("bob", within: .seconds(5)))
        // Whose deadline is later.
        #expect(try bob.receive() == .close(4401, "expired"))
        #expect(try lives(alice))
    }

    /// The user signs in anew where the session is kept.
    @Test func aSessionIsRenewedWhereItIsKept() throws {
        let test = try GateUnderTest()
        func session(_ ago: Int) throws {
            let now = Int(Date().timeIntervalSince1970 * 1000)
            let json = #"{"user_id":"carol","created_at":\#(now - 100_000),"auth_time":\#(now - ago)}"#
            try test.redis.ask("SET", "session:s", json, "EX", "600")
        }
        try session(60_000)
        let headers = ["Cookie: session_id=s", "Origin: http://\(test.gate.endpoint)"]
        let v1 = "Sec-WebSocket-Protocol: portcullis.v1"
        let carol = try WebSocketPeer(test.gate.endpoint, headers: headers + [v1])
        _ = try carol.receive(type: "welcome")
        let token = try test.connect("carol", raw: true)
        try test.append(demand("carol", within: .seconds(6)))
        #expect(try carol.receiveMessage()["type"] as? String == "reauthenticate")
        // Something else of it changes: the time is theirs still.
        try session(60_000)
        #expect(try lives(carol))
        try test.wait("it counts as a later sign-in") {
            try session(0)
            return try WebSocketPeer(test.gate.endpoint, headers: headers).status == 101
        }
        #expect(try token.receive() == .close(4401, "expired"))
        #expect(try lives(carol))
        try session(0)
        #expect(try lives(carol))
    }

    /// The deadline runs on while nothing passes; what was said then is told at the thaw.
    @Test func aFreezeKeepsTheMessageAndNotTheDeadline() throws {
        let redis = try RedisServer()
        let test = try GateUnderTest(redis: redis) { $0.lease = .seconds(2) }
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        redis.stop()
        try test.wait("the gate is frozen") { test.gate.status.isFrozen }
        try redis.start()
        try test.append(demand("alice", within: .seconds(12)))
        let told = try alice.receiveMessage()
        #expect(told["type"] as? String == "reauthenticate")
        #expect(try #require(told["deadline_s"] as? Double) <= 12)
        let token = try fresh(test, "alice")
        try test.wait("the gate says that it has thawed") { !test.gate.status.isFrozen }
        redis.stop()
        try test.wait("every loop is frozen") {
            test.gate.status.staleness ?? Milliseconds(0) > .seconds(3)
        }
        // It is not even read.
        try alice.send(text: #"{"type":"refresh","token":"\#(token)"}"#)
        #expect(try alice.receiveMessage()["type"] as? String == "closing")
        #expect(try alice.receive() == .close(4401, "expired"))
    }
}

import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import TestKit
import Testing

/// Live connections that show a newer token.
@Suite(.serialized) struct RefreshTests {
    private func send(_ peer: WebSocketPeer, _ token: String, ref: String = #""r""#) throws {
        try peer.send(text: #"{"type":"refresh","token":"\#(token)","ref":\#(ref)}"#)
    }

    /// Whether the connection lives: a pong comes, and no message before it.
    private func lives(_ peer: WebSocketPeer) throws -> Bool {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        return try peer.receive() == .pong
    }

    private func revocation(_ token: Identifier) -> Decision {
        .revoke(.init(select: Selector(ids: [.token: token]), issuedBefore: .never))
    }

    private func session(_ test: GateUnderTest, _ id: String) throws -> WebSocketPeer {
        let peer = try WebSocketPeer(
            test.gate.endpoint,
            headers: [
                "Cookie: session_id=\(id)", "Origin: http://\(test.gate.endpoint)",
                "Sec-WebSocket-Protocol: portcullis.v1",
            ]
        )
        _ = try peer.receive(type: "welcome")
        return peer
    }

    // MARK: - What follows from the new token

    @Test func theNewTokensIDsCountAndTheOldOnesDoNot() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", ["jti": #""t1""#, "sid": #""s1""#])
        let old = try #require(try alice.receive(type: "welcome")["expires_at"] as? Double)
        let token = try test.token("alice", ["jti": #""t2""#, "sid": #""s2""#, "device": #""d""#], life: 1200)
        try send(alice, token, ref: "7")
        let refreshed = try alice.receiveMessage()
        #expect(refreshed["type"] as? String == "refreshed")
        #expect(refreshed["ref"] as? Int == 7)
        #expect(try #require(refreshed["expires_at"] as? Double) > old + 500)
        #expect((refreshed["permissions"] as? [String: String])?.isEmpty == true)
        // Nothing against the old one concerns it any more.
        try test.append(revocation("t1"))
        try test.append(.revoke(.init(select: Selector(ids: [.session: "s1"]), issuedBefore: .never)))
        try test.wait("the gate holds both") { test.gate.status.standing == 2 }
        #expect(try lives(alice))
        try test.append(revocation("t2"))
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
    }

    /// What was issued after a revocation of the user stays, and what was issued before it does not come by this door.
    @Test func aTokenIsHeldAgainstWhatStands() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", ["jti": #""t1""#])
        _ = try alice.receive(type: "welcome")
        let revoked = try test.token("alice", ["jti": #""t2""#])
        try test.append(revocation("t2"))
        try test.wait("the gate holds it") { test.gate.status.standing == 1 }
        try send(alice, revoked)
        let error = try alice.receiveMessage()
        #expect(error["type"] as? String == "error")
        #expect(error["code"] as? String == "forbidden")
        #expect((error["detail"] as? String)?.hasPrefix("revoked: ") == true)
        #expect(error["ref"] as? String == "r")
        #expect(try lives(alice))
        try test.append(revocation("t1"))
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
    }

    @Test func anotherUsersTokenCloses() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        try send(alice, test.token("bob"))
        let closing = try alice.receiveMessage()
        #expect(closing["type"] as? String == "closing")
        #expect(closing["reconnect"] as? String == "reauthenticate")
        #expect(try alice.receive() == .close(4401, "expired"))
    }

    @Test func aBadTokenChangesNothingAndCounts() throws {
        let test = try GateUnderTest {
            $0.throttle = .init(failuresPerMinute: 4, throttlesPrivate: true)
        }
        let alice = try test.connect("alice", ["jti": #""t1""#])
        _ = try alice.receive(type: "welcome")
        let now = Date().timeIntervalSince1970
        let good = try test.token("alice")
        let bad = [
            ("x", "malformed_token"), (try test.token("alice", issued: now - 700), "expired"),
            (String(good.dropLast(4)) + "AAAA", "bad_signature"),
            (String(repeating: "a", count: 9000), "malformed_token"),
        ]
        for (token, code) in bad {
            try send(alice, token)
            let error = try alice.receiveMessage()
            #expect(error["code"] as? String == "forbidden")
            #expect((error["detail"] as? String)?.hasPrefix("\(code): ") == true, "\(error)")
        }
        // Four failures of the address: no other is looked at, and no handshake.
        try send(alice, good)
        #expect(try alice.receiveMessage()["code"] as? String == "rate_limited")
        #expect(try test.connect("bob", raw: true).status == 429)
        #expect(try lives(alice))
        let told = test.reports.all.filter { if case .refreshRefused = $0 { true } else { false } }
        #expect(told.count == 4)
    }

    @Test func aTokenTakesTheSessionsPlace() throws {
        let test = try GateUnderTest()
        let json = #"{"user_id":"carol","created_at":\#(Int(Date().timeIntervalSince1970 * 1000))}"#
        try test.redis.ask("SET", "session:s", json, "EX", "600")
        let (carol, other) = (try session(test, "s"), try session(test, "s"))
        try send(carol, test.token("carol", ["jti": #""t1""#]))
        #expect(try carol.receiveMessage()["type"] as? String == "refreshed")
        try test.redis.ask("DEL", "session:s")
        #expect(try other.receiveClose() == .close(4410, "session_ended"))
        #expect(try lives(carol))
        try test.append(revocation("t1"))
        #expect(try carol.receiveClose() == .close(4410, "revoked"))
    }

    @Test func itIsHeldToTheNewTokensKey() throws {
        func key(_ name: String) throws -> SigningKey {
            try SigningKey(secret: Array(String(repeating: name, count: 40).utf8).span, kid: Identifier(name))
        }
        func policy(_ keys: [SigningKey]) throws -> TokenPolicy {
            try TokenPolicy(issuers: [TokenIssuer(keys: KeySet(keys.map(\.verificationKey)))])
        }
        func token(_ key: SigningKey) throws -> String {
            let expires = "\(Int(Date().timeIntervalSince1970) + 600)"
            let claims = [(name: "sub", json: Array(#""alice""#.utf8)), (name: "exp", json: Array(expires.utf8))]
            return String(decoding: try TokenSigner(key).sign(claims), as: UTF8.self)
        }
        let (old, new) = (try key("o"), try key("n"))
        let both = try policy([old, new])
        let test = try GateUnderTest {
            $0.tokens = both
            $0.closesOnKeyRemoval = true
        }
        let (alice, other) = (try test.connect("", token: token(old)), try test.connect("", token: token(old)))
        for peer in [alice, other] { _ = try peer.receive(type: "welcome") }
        try send(alice, token(new))
        #expect(try alice.receiveMessage()["type"] as? String == "refreshed")
        test.gate.replaceTokens(try policy([new]))
        #expect(try other.receiveClose() == .close(4401, "expired"))
        #expect(try lives(alice))
        test.gate.replaceTokens(try policy([key("x")]))
        #expect(try alice.receiveClose() == .close(4401, "expired"))
    }

    // MARK: - Permissions

    @Test func rolesFollowTheTokenAndAreToldFirst() throws {
        let test = try GateUnderTest()
        let viewer = ["permissions": #"{"doc:1":"viewer","doc:2":"owner"}"#]
        let alice = try test.connect("alice", viewer, path: "/ws/doc:1")
        let bob = try test.connect("bob", viewer, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        try send(alice, test.token("alice", ["permissions": #"{"doc:1":"editor"}"#]))
        var changes: [String: [String]] = [:]
        for _ in 0..<2 {
            let message = try alice.receiveMessage()
            #expect(message["type"] as? String == "permission")
            changes["\(message["resource"] ?? "")"] = ["from", "to"].map { message[$0] as? String ?? "-" }
        }
        #expect(changes == ["doc:1": ["viewer", "editor"], "doc:2": ["owner", "-"]])
        let refreshed = try alice.receiveMessage()
        #expect(refreshed["type"] as? String == "refreshed")
        #expect(refreshed["permissions"] as? [String: String] == ["doc:1": "editor"])
        try alice.send(text: #"{"type":"publish","data":1}"#)
        #expect(try bob.receive(type: "message")["data"] as? Int == 1)
        try send(alice, test.token("alice"))
        let lost = try alice.receiveMessage()
        #expect(lost["from"] as? String == "editor")
        #expect(lost["to"] is NSNull)
        #expect(try alice.receiveMessage()["type"] as? String == "closing")
        #expect(try alice.receive() == .close(4403, "permission_revoked"))
    }

    @Test func whatIsStoredCountsMoreThanTheClaim() throws {
        let test = try GateUnderTest()
        try test.redis.ask("HSET", "portcullis:perm:alice", "doc:1", "3:editor")
        let alice = try test.connect("alice", path: "/ws/doc:1")
        #expect(try alice.receive(type: "welcome")["permissions"] as? [String: String] == ["doc:1": "editor"])
        let role = RoleOrder.standard.viewer
        try test.append(.permit(.init(user: "alice", resource: "doc:2", role: role, version: nil)))
        #expect(try alice.receiveMessage()["resource"] as? String == "doc:2")
        try send(alice, test.token("alice", ["permissions": #"{"doc:1":"viewer","doc:2":"owner","doc:3":"owner"}"#]))
        let message = try alice.receiveMessage()
        #expect(message["type"] as? String == "permission")
        #expect(message["resource"] as? String == "doc:3")
        let all = ["doc:1": "editor", "doc:2": "viewer", "doc:3": "owner"]
        #expect(try alice.receiveMessage()["permissions"] as? [String: String] == all)
    }

    @Test func theBoundResourceMayNeedAFreshSignIn() throws {
        let test = try GateUnderTest { configuration in
            configuration.stepUp = StepUp([.init(ResourcePattern("billing:*"), within: .seconds(900))])
            configuration.defaultRole = configuration.roles.viewer
        }
        let now = Date().timeIntervalSince1970
        let alice = try test.connect("alice", ["auth_time": "\(now - 60)"], path: "/ws/billing:1")
        _ = try alice.receive(type: "welcome")
        try send(alice, test.token("alice", ["auth_time": "\(now - 901)"]))
        let detail = try alice.receiveMessage()["detail"] as? String
        #expect(detail?.hasPrefix("reauthentication_required: ") == true)
        try send(alice, test.token("alice", ["auth_time": "\(now - 30)"]))
        #expect(try alice.receiveMessage()["type"] as? String == "refreshed")
    }

    // MARK: - Redis

    @Test func sharedKeysAreAsked() throws {
        let test = try GateUnderTest { ($0.asksSharedKeys, $0.lease) = (true, .seconds(60)) }
        let alice = try test.connect("alice", ["jti": #""t1""#])
        _ = try alice.receive(type: "welcome")
        try test.redis.ask("SET", "revoked:t2", "1")
        try send(alice, test.token("alice", ["jti": #""t2""#]))
        #expect((try alice.receiveMessage()["detail"] as? String)?.hasPrefix("revoked: ") == true)
        try test.redis.ask("SET", "token_version:alice", "five")
        try send(alice, test.token("alice", ["jti": #""t3""#]))
        #expect(try alice.receiveMessage()["code"] as? String == "unavailable")
        try test.redis.ask("DEL", "token_version:alice")
        try send(alice, test.token("alice", ["jti": #""t3""#]))
        #expect(try alice.receiveMessage()["type"] as? String == "refreshed")
        // One at a time, while Redis answers nobody.
        try test.redis.pause()
        defer { test.redis.resume() }
        try send(alice, test.token("alice", ["jti": #""t4""#]), ref: "4")
        try send(alice, test.token("alice", ["jti": #""t5""#]), ref: "5")
        let second = try alice.receiveMessage()
        #expect(second["ref"] as? Int == 5)
        #expect(second["code"] as? String == "rate_limited")
        test.redis.resume()
        let first = try alice.receiveMessage()
        #expect(first["ref"] as? Int == 4)
        #expect(first["type"] as? String == "refreshed")
    }

    /// A decision against the new token comes while Redis is asked about it, in front of the answer or just behind it.
    @Test(arguments: [1, 2, 4], [true, false])
    func whatIsDecidedMeanwhileFindsIt(loops: Int, isInFront: Bool) async throws {
        let test = try GateUnderTest(loops: loops) { ($0.asksSharedKeys, $0.lease) = (true, .seconds(60)) }
        let alice = try test.connect("alice", ["jti": #""t1""#])
        _ = try alice.receive(type: "welcome")
        // Accepted before Redis stands still: what is written to it then is read in the order in which it was written.
        let writer = try BlockingSocket(.unix(path: test.redis.socket), timeout: 30_000)
        try writer.write(Array("PING\r\n".utf8))
        #expect(String(decoding: try writer.read(), as: UTF8.self) == "+PONG\r\n")
        try test.redis.pause()
        defer { test.redis.resume() }
        let event = #"{"v":1,"type":"revoke","select":{"token":"t2"},"issued_before_ms":"never"}"#
        let words = ["PUBLISH", "portcullis:events", event].map { "$\($0.utf8.count)\r\n\($0)\r\n" }
        let publish = Array("*3\r\n\(words.joined())".utf8)
        if isInFront { try writer.write(publish) }
        try send(alice, test.token("alice", ["jti": #""t2""#]))
        // Its loop has read that, and then every loop what was in its mail: the question is asked.
        #expect(try lives(alice))
        await withCheckedContinuation { continuation in test.gate.pulse { continuation.resume() } }
        if !isInFront { try writer.write(publish) }
        test.redis.resume()
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        #expect(String(decoding: try writer.read(), as: UTF8.self) == ":1\r\n")
    }

    // MARK: - The end of a credential

    @Test func theEndIsToldOnceForEachCredential() throws {
        let test = try GateUnderTest { $0.expiryNotice = .seconds(598) }
        let alice = try test.connect("alice")
        let expires = try alice.receive(type: "welcome")["expires_at"] as? Double
        let told = try alice.receiveMessage()
        #expect(told["type"] as? String == "expiring")
        #expect(told["expires_at"] as? Double == expires)
        #expect((590...598.1).contains(try #require(told["in_s"] as? Double)))
        try send(alice, test.token("alice", life: 601))
        #expect(try alice.receiveMessage()["type"] as? String == "refreshed")
        // Of the new one half of its life is left when it is told.
        try send(alice, test.token("alice", life: 6))
        #expect(try alice.receiveMessage()["type"] as? String == "refreshed")
        let short = try alice.receiveMessage()
        #expect(short["type"] as? String == "expiring")
        #expect((0...3).contains(try #require(short["in_s"] as? Double)))
        #expect(try alice.receiveMessage()["type"] as? String == "closing")
        #expect(try alice.receive() == .close(4401, "expired"))
    }

    @Test func whoHasLittleLeftIsToldAtTheAdmission() throws {
        let test = try GateUnderTest()
        let token = try test.token("alice", life: 4)
        let (alice, raw) = (try test.connect("alice", token: token), try test.connect("alice", raw: true, token: token))
        #expect(try alice.receiveMessage()["type"] as? String == "welcome")
        #expect(try alice.receiveMessage()["type"] as? String == "expiring")
        #expect(try alice.receiveMessage()["type"] as? String == "closing")
        #expect(try alice.receive() == .close(4401, "expired"))
        #expect(try raw.receive() == .close(4401, "expired"))
    }
}

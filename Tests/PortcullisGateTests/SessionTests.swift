import Foundation
import PortcullisCore
import PortcullisCrypto
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Server sessions as applications keep them.
@Suite(.serialized) struct SessionTests {
    private static let v1 = "Sec-WebSocket-Protocol: portcullis.v1"

    private func open(
        _ test: GateUnderTest,
        cookie: String,
        path: String = "/ws",
        _ headers: [String] = []
    ) throws -> WebSocketPeer {
        let own = ["Cookie: \(cookie)", "Origin: http://\(test.gate.endpoint)", Self.v1]
        return try WebSocketPeer(test.gate.endpoint, path: path, headers: own + headers)
    }

    /// The outcome of a handshake: `welcome` and the user, or the code and the reason of the close.
    private func outcome(_ peer: WebSocketPeer) throws -> String {
        while true {
            switch try peer.receive() {
            case .text(let text):
                let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
                if json?["type"] as? String == "welcome" { return "welcome \(json?["user"] ?? "")" }
            case .close(let code, let reason): return "\(code ?? 0) \(reason)"
            case .end: return "end"
            default: continue
            }
        }
    }

    private func policy(_ change: (inout SessionPolicy) -> Void = { _ in }) -> SessionPolicy {
        var policy = SessionPolicy(
            key: SessionKey("session:{id}") ?? .plain,
            codec: SessionCodec(userField: "user_id", createdField: "created_at", roles: .standard)
        )
        change(&policy)
        return policy
    }

    private var now: Int { Int(Date().timeIntervalSince1970 * 1000) }

    // MARK: - Cookies that Express signs

    @Test func worksWithExpressSessionAndConnectRedis() throws {
        let test = try GateUnderTest { configuration in
            configuration.credentials = CredentialSource(
                sessionCookie: Array("connect.sid".utf8),
                signsSessions: true
            )
            var policy = SessionPolicy(
                key: SessionKey("sess:{id}") ?? .plain,
                codec: SessionCodec(userField: "passport.user", createdField: "created_at", roles: .standard)
            )
            // The example of the package cookie-signature.
            policy.cookieKey = HMACKey(SecretBytes(Array("tobiiscool".utf8).span), hash: .sha256)
            configuration.sessions = policy
        }
        let value =
            #"{"cookie":{"originalMaxAge":86400000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"passport":{"user":"carol"}}"#
        try test.redis.ask("SET", "sess:hello", value, "EX", "600")
        let signed = "connect.sid=s%3Ahello.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI"
        let carol = try open(test, cookie: signed)
        #expect(try outcome(carol) == "welcome carol")
        for cookie in [
            // Unsigned, another's signature, a letter of it changed, cut, padded, unescaped badly, nothing signed.
            "connect.sid=hello", "connect.sid=s%3Aworld.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI",
            "connect.sid=s%3Ahello.EGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI",
            "connect.sid=s%3Ahello.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5Q",
            "connect.sid=s%3Ahello.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI%3D",
            "connect.sid=s%3Ahello.DGDUkGlIkCzPz%2GC0B064FNgHdEjox7ch8tOBGslZ5QI", "connect.sid=s%3Ahello",
            "connect.sid=s%3A.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI",
        ] {
            #expect(try outcome(open(test, cookie: cookie)) == "4401 unknown_session", "\(cookie)")
        }
        // What connect-redis does at each request, and at a sign-out.
        try test.redis.ask("EXPIRE", "sess:hello", "1200")
        try test.redis.ask("SET", "sess:hello", value, "EX", "600")
        try carol.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try carol.receive() == .pong)
        try test.redis.ask("DEL", "sess:hello")
        #expect(try carol.receiveClose() == .close(4410, "session_ended"))
    }

    // MARK: - When it was made

    @Test func aSessionWithoutATimeCountsFromWhenItWasSeenFirst() throws {
        let test = try GateUnderTest()
        try test.redis.ask("SET", "session:a", #"{"user_id":"carol"}"#, "EX", "600")
        let carol = try open(test, cookie: "session_id=a")
        #expect(try outcome(carol) == "welcome carol")
        let key = Keys().first("a")
        // As long as a decision against it can stand, however short the session itself is.
        let left = try #require(try test.redis.ask("PTTL", String(decoding: key, as: UTF8.self)).integer)
        #expect(left > 29 * 86_400_000)
        try test.append(.revoke(.init(select: Selector(ids: [.user: "carol"]), issuedBefore: .append)))
        #expect(try carol.receiveClose() == .close(4410, "revoked"))
        // The same session stays out; one that is seen later is newer than the revocation.
        #expect(try outcome(open(test, cookie: "session_id=a")) == "4410 revoked")
        try test.redis.ask("SET", "session:b", #"{"user_id":"carol"}"#, "EX", "600")
        #expect(try outcome(open(test, cookie: "session_id=b")) == "welcome carol")
        let warned = test.reports.all.filter { if case .sessionsLackCreation = $0 { true } else { false } }
        #expect(warned.count == 1)
    }

    @Test func aSessionOfATimeToComeIsNoNewerThanARevocation() throws {
        let test = try GateUnderTest()
        let value = #"{"user_id":"carol","created_at":\#(now + 86_400_000)}"#
        try test.redis.ask("SET", "session:a", value, "EX", "600")
        let carol = try open(test, cookie: "session_id=a")
        #expect(try outcome(carol) == "welcome carol")
        try test.append(.revoke(.init(select: Selector(ids: [.user: "carol"]), issuedBefore: .append)))
        #expect(try carol.receiveClose() == .close(4410, "revoked"))
        #expect(try outcome(open(test, cookie: "session_id=a")) == "4410 revoked")
    }

    @Test func aFirstTimeThatIsNoneConcernsItsSessionAlone() throws {
        let test = try GateUnderTest()
        let key = String(decoding: Keys().first("a"), as: UTF8.self)
        try test.redis.ask("SET", key, "soon")
        try test.redis.ask("SET", "session:a", #"{"user_id":"carol"}"#, "EX", "600")
        try test.redis.ask("SET", "session:b", #"{"user_id":"dora"}"#, "EX", "600")
        #expect(try outcome(open(test, cookie: "session_id=a")) == "1013 store_unavailable")
        #expect(try outcome(open(test, cookie: "session_id=b")) == "welcome dora")
    }

    @Test func noSessionOutlivesTheLongestLife() throws {
        let test = try GateUnderTest { $0.sessions = policy { $0.longestLife = .seconds(60) } }
        try test.redis.ask("SET", "session:old", #"{"user_id":"carol","created_at":\#(now - 61_000)}"#, "EX", "600")
        #expect(try outcome(open(test, cookie: "session_id=old")) == "4401 unknown_session")
        try test.redis.ask("SET", "session:young", #"{"user_id":"carol","created_at":\#(now - 57_000)}"#, "EX", "600")
        let carol = try open(test, cookie: "session_id=young")
        #expect(try outcome(carol) == "welcome carol")
        #expect(try carol.receiveClose() == .close(4401, "expired"))
    }

    // MARK: - Binding

    @Test func aBoundSessionOpensNothingForAnotherClient() throws {
        let test = try GateUnderTest { $0.sessions = policy { $0.bind = [.address, .userAgent, .device] } }
        let digest = SHA256.digest(Array("Mozilla".utf8).span)
        let hash = String(decoding: Hexadecimal.encode(digest.span), as: UTF8.self)
        func session(_ id: String, _ fields: [String: String]) throws {
            var all = ["user_id": "carol", "ip": "127.0.0.1", "user_agent_hash": hash, "device": "d1"]
            all.merge(fields) { $1 }
            let json = try JSONSerialization.data(withJSONObject: all.filter { !$0.value.isEmpty })
            try test.redis.ask("SET", "session:\(id)", String(decoding: json, as: UTF8.self), "EX", "600")
        }
        let own = ["User-Agent: Mozilla", "X-Device-ID: d1"]
        try session("s", [:])
        #expect(try outcome(open(test, cookie: "session_id=s", own)) == "welcome carol")
        let live = try open(test, cookie: "session_id=s; device_id=d1", ["User-Agent: Mozilla"])
        #expect(try outcome(live) == "welcome carol")
        for headers in [
            ["User-Agent: Mozilla"], ["X-Device-ID: d1"], ["User-Agent: Mozilla", "X-Device-ID: d2"],
            ["User-Agent: mozilla", "X-Device-ID: d1"], own + ["User-Agent: Mozilla"], own + ["X-Device-ID: d2"],
        ] {
            #expect(try outcome(open(test, cookie: "session_id=s", headers)) == "4401 binding_mismatch", "\(headers)")
        }
        for (name, value) in [
            ("ip", "127.0.0.2"), ("ip", ""), ("ip", "here"), ("user_agent_hash", ""), ("device", "d2"), ("device", ""),
        ] {
            try session("x", [name: value])
            #expect(
                try outcome(open(test, cookie: "session_id=x", own)) == "4401 binding_mismatch",
                "\(name) \(value)"
            )
        }
        // Bound anew while it is in use.
        try session("s", ["device": "d2"])
        #expect(try live.receiveClose() == .close(4401, "binding_mismatch"))
    }

    // MARK: - A fresh sign-in

    @Test func markedResourcesNeedAFreshSignIn() throws {
        let test = try GateUnderTest { configuration in
            configuration.stepUp = StepUp([.init(ResourcePattern("billing:*"), within: .seconds(900))])
            configuration.defaultRole = configuration.roles.viewer
        }
        func session(_ id: String, _ fields: String) throws {
            let json = #"{"user_id":"carol","created_at":\#(now - 1000)\#(fields)}"#
            try test.redis.ask("SET", "session:\(id)", json, "EX", "600")
        }
        let fresh = now - 60_000
        try session("fresh", #","auth_time":\#(fresh),"mfa_verified":true"#)
        try session("silent", #","auth_time":\#(fresh)"#)
        try session("stale", #","auth_time":\#(now - 901_000),"mfa_verified":true"#)
        try session("ahead", #","auth_time":\#(now + 600_000)"#)
        try session("single", #","auth_time":\#(fresh),"mfa_verified":false"#)
        try session("null", #","auth_time":\#(fresh),"mfa_verified":null"#)
        try session("none", "")
        let live = try open(test, cookie: "session_id=fresh", path: "/ws/billing:7")
        #expect(try outcome(live) == "welcome carol")
        #expect(try outcome(open(test, cookie: "session_id=silent", path: "/ws/billing:7")) == "welcome carol")
        for id in ["stale", "single", "null", "none", "ahead"] {
            let peer = try open(test, cookie: "session_id=\(id)", path: "/ws/billing:7")
            #expect(try outcome(peer) == "4403 reauthentication_required", "\(id)")
            #expect(try outcome(open(test, cookie: "session_id=\(id)", path: "/ws/doc:1")) == "welcome carol")
        }
        let time = Date().timeIntervalSince1970
        for (age, status) in [(60.0, 101), (901.0, 403)] {
            let peer = try test.connect("alice", ["auth_time": "\(time - age)"], path: "/ws/billing:1", raw: true)
            #expect(peer.status == status)
        }
        try session("fresh", #","auth_time":\#(fresh),"mfa_verified":false"#)
        #expect(try live.receiveClose() == .close(4403, "reauthentication_required"))
    }

    // MARK: - Use and sweep

    @Test func aSessionInUseIsRenewed() throws {
        let test = try GateUnderTest { $0.sessions = policy { $0.touches = true } }
        try test.redis.ask("SET", "session:s", #"{"user_id":"carol","created_at":\#(now)}"#, "EX", "600")
        let carol = try open(test, cookie: "session_id=s")
        #expect(try outcome(carol) == "welcome carol")
        let quiet = try open(test, cookie: "session_id=s")
        #expect(try outcome(quiet) == "welcome carol")
        let life = String(decoding: Keys().life(Array("session:s".utf8)), as: UTF8.self)
        try test.wait("the life is known") { try test.redis.ask("EXISTS", life) == .integer(1) }
        try test.redis.ask("EXPIRE", "session:s", "20")
        try carol.send(text: #"{"type":"nonsense"}"#)
        #expect(try carol.receive(type: "error")["code"] as? String == "unknown_type")
        try test.wait("the session is renewed") { try test.redis.ask("PTTL", "session:s").integer ?? 0 > 500_000 }
        // It is not brought back to life: what was deleted stays deleted.
        try test.redis.ask("DEL", "session:s")
        #expect(try carol.receiveClose() == .close(4410, "session_ended"))
        #expect(try quiet.receiveClose() == .close(4410, "session_ended"))
        #expect(try test.redis.ask("EXISTS", "session:s") == .integer(0))
    }

    @Test func everySessionIsReadAgainWithinTheSweep() throws {
        let test = try GateUnderTest { configuration in
            var policy = SessionPolicy(
                key: SessionKey("session:{id}") ?? .plain,
                codec: SessionCodec(format: .hash, userField: "user_id", createdField: "created_at", roles: .standard)
            )
            policy.sweep = Milliseconds(200)
            configuration.sessions = policy
        }
        try test.redis.ask("HSET", "session:s", "user_id", "carol", "created_at", "\(now)")
        let carol = try open(test, cookie: "session_id=s")
        #expect(try outcome(carol) == "welcome carol")
        try test.redis.ask("CONFIG", "RESETSTAT")
        // Nothing but the sweep reads a hash whole while nothing happens.
        try test.wait("it was read again") {
            let statistics = try test.redis.ask("INFO", "commandstats").text ?? ""
            guard let line = statistics.split(separator: "\r\n").first(where: { $0.hasPrefix("cmdstat_hgetall:") })
            else { return false }
            let calls = line.split(whereSeparator: { ":=,".contains($0) }).dropFirst(2).first.flatMap { Int($0) }
            return calls ?? 0 >= 3
        }
    }

    @Test(arguments: [
        ["UNLINK", "session:s"], ["EXPIRE", "session:s", "0"], ["FLUSHDB"], ["RENAME", "session:s", "session:t"],
        ["SET", "session:s", "[]"], ["LPUSH", "session:s", "x"], ["PEXPIRE", "session:s", "400"],
    ])
    func endsByWhateverAnyProgramDoes(_ words: [String]) throws {
        let test = try GateUnderTest()
        try test.redis.ask("SET", "session:s", #"{"user_id":"carol","created_at":\#(now)}"#)
        let carol = try open(test, cookie: "session_id=s")
        #expect(try outcome(carol) == "welcome carol")
        let connection = try BlockingConnection(test.redis.url)
        if words[0] == "LPUSH" { _ = try connection.ask(Command("DEL", "session:s")) }
        _ = try connection.ask(Command(words.map { Array($0.utf8) }))
        let isExpired = words[0] == "PEXPIRE"
        #expect(try carol.receiveClose() == (isExpired ? .close(4401, "expired") : .close(4410, "session_ended")))
    }

    /// A session that signs in anew while it is in use: what it says is held against the rule as at the handshake.
    @Test func anotherSignInMustBeFreshToo() throws {
        let test = try GateUnderTest { configuration in
            configuration.stepUp = StepUp([.init(ResourcePattern("billing:*"), within: .seconds(900))])
            configuration.defaultRole = configuration.roles.viewer
        }
        func session(ago: Int, _ more: String = "") throws {
            let json = #"{"user_id":"carol","created_at":\#(now - 2_000_000),"auth_time":\#(now - ago)\#(more)}"#
            try test.redis.ask("SET", "session:s", json, "EX", "600")
        }
        try session(ago: 60_000)
        let carol = try open(test, cookie: "session_id=s", path: "/ws/billing:7")
        #expect(try outcome(carol) == "welcome carol")
        try session(ago: 1000)
        try carol.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try carol.receive() == .pong)
        try session(ago: 901_000)
        #expect(try carol.receiveClose() == .close(4403, "reauthentication_required"))
    }

    // MARK: - A store that does not answer

    /// Redis forbids the reading of a session that has changed: it is tried again, and counts no more after the lease.
    @Test func aSessionThatCannotBeReadIsNotBelieved() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        for id in ["s", "t"] {
            try test.redis.ask("SET", "session:\(id)", #"{"user_id":"carol","created_at":\#(now)}"#, "EX", "600")
        }
        let (carol, other) = (try open(test, cookie: "session_id=s"), try open(test, cookie: "session_id=t"))
        for peer in [carol, other] { #expect(try outcome(peer) == "welcome carol") }
        let connection = try BlockingConnection(test.redis.url)
        let forbidden = ["resetkeys", "~portcullis:*", "~session:t"].map { Array($0.utf8) }
        _ = try connection.ask([
            Command("MULTI"), Command("PEXPIRE", "session:s", "500000"),
            Command([Array("ACL".utf8), Array("SETUSER".utf8), Array("default".utf8)] + forbidden), Command("EXEC"),
        ])
        #expect(try carol.receiveClose() == .close(1013, "cannot_vouch"))
        try other.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try other.receive() == .pong)
    }

    @Test func aSlowStoreAdmitsNobodyAndHoldsNobodyUp() throws {
        // The lease outlives the test.
        let test = try GateUnderTest { ($0.handshake, $0.lease) = (.seconds(4), .seconds(60)) }
        try test.redis.ask("SET", "session:s", #"{"user_id":"carol"}"#)
        try test.redis.pause()
        defer { test.redis.resume() }
        let cookie = ["Cookie: session_id=s", "Origin: http://\(test.gate.endpoint)"]
        let request =
            ["GET /ws HTTP/1.1", "Host: \(test.gate.endpoint)", "Connection: Upgrade", "Upgrade: websocket"]
            + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] + cookie
        let bytes = Array((request.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        let waiting = try (0..<200).map { _ in
            let socket = try BlockingSocket(test.gate.endpoint, timeout: 30_000)
            try socket.write(bytes)
            return socket
        }
        // Who needs nothing of Redis comes in meanwhile.
        #expect(try test.connect("alice", raw: true).status == 101)
        for socket in waiting {
            let answer = String(decoding: try socket.read(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
        }
    }
}

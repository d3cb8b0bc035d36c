import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import TestKit
import Testing

/// What the commands do, against a real Redis and a real gate.
@Suite(.serialized) struct CommandTests {
    private func settings(_ redis: RedisServer, _ flags: [String: String] = [:]) throws -> Settings {
        var all = [
            "redis.url": "unix://\(redis.socket)", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "node": "g1",
        ]
        all["state_dir"] = redis.directory.appending(path: "state").path
        all.merge(flags) { $1 }
        return try Settings.load(flags: all)
    }

    private func gate(_ settings: Settings, _ redis: RedisServer) throws -> Gate {
        let state = StateDirectory(path: redis.directory.appending(path: "state").path)
        let tokens = try TokenKeys.policy(settings, state: state)
        let configuration = try GateAssembly.configuration(settings, redis: redis.url, tokens: tokens, version: "test")
        let gate = try Gate(configuration) { _ in }
        for _ in 0..<3000 where !gate.status.isReady { Thread.sleep(forTimeInterval: 0.01) }
        #expect(gate.status.isReady)
        return gate
    }

    private func peer(_ gate: Gate, _ redis: RedisServer, user: String) throws -> WebSocketPeer {
        let key = try SigningKey.secretFile(redis.directory.appending(path: "state/secret").path)
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let token = try TokenSigner(key).sign([
            ("sub", TokenSigner.json(Identifier(user))), ("iat", TokenSigner.json(now)),
            ("exp", TokenSigner.json(now + .seconds(60))),
        ])
        return try WebSocketPeer(
            gate.endpoint,
            headers: ["Authorization: Bearer \(String(decoding: token, as: UTF8.self))"]
        )
    }

    private func event(_ decision: Decision) -> Event {
        let id = EventID.make(at: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
        return Event(id: id, decision: decision, wantsReceipt: true)
    }

    @Test func receiptsComeFromEveryGateAndTheSilentAreNamed() throws {
        let redis = try RedisServer()
        let settings = try settings(redis)
        let gate = try gate(settings, redis)
        defer { gate.stop() }
        let alice = try peer(gate, redis, user: "alice")
        let bob = try peer(gate, redis, user: "bob")
        let client = try DecisionClient(try BlockingConnection(redis.url), settings)
        let everybody = Selector(all: true)
        let found = try client.connections(everybody, wait: .seconds(30))
        #expect(found.rows.compactMap { $0["user"] as? String }.sorted() == ["alice", "bob"])
        #expect(found.silent == [])
        let spared = try client.connections(everybody, except: Selector(ids: [.user: "bob"]), wait: .seconds(30))
        #expect(spared.rows.count == 1)
        #expect(spared.spared == 1)

        // A gate that has said it lives and does not answer: for it all of the time passes.
        let now = Int(Date().timeIntervalSince1970 * 1000)
        try redis.ask("ZADD", "portcullis:nodes", "\(now)", "mute")
        try redis.ask("ZADD", "portcullis:nodes", "\(now - 60_000)", "gone")
        let nodes = try client.nodes()
        #expect(nodes.live.sorted() == ["g1", "mute"])
        #expect(nodes.frozen == ["gone"])

        let again = try client.connections(everybody, wait: .seconds(3))
        #expect(again.rows.count == 2)
        #expect(again.silent == ["mute"])

        let revoke = event(.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append)))
        guard case .logged = try client.send(revoke) else {
            Issue.record("not logged")
            return
        }
        let id = try #require(revoke.id)
        let receipts = try client.receipts(for: id, nodes: nodes, wait: .seconds(3))
        #expect(receipts.map(\.node) == ["g1"])
        #expect(receipts.first?.matched == 1)
        #expect(receipts.first?.closed == 1)
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        // Sent again it is known, and nobody else goes.
        guard case .logged = try client.send(revoke) else {
            Issue.record("not logged")
            return
        }
        #expect(try redis.ask("XLEN", "portcullis:log") == .integer(1))
        let notify = event(.notify(Selector(ids: [.user: "bob"]), except: nil, data: Array("7".utf8)))
        #expect(try client.send(notify) == .published(gates: 1))
        #expect(try bob.receive() == .text("7"))
    }

    @Test func aPermitOlderThanTheStoredOneIsStale() throws {
        let redis = try RedisServer()
        let client = try DecisionClient(try BlockingConnection(redis.url), try settings(redis))
        let role = RoleOrder.standard.editor
        func permit(_ version: Int64?) throws -> DecisionClient.Sent {
            try client.send(event(.permit(.init(user: "u", resource: "r", role: role, version: version))))
        }
        guard case .logged = try permit(5) else {
            Issue.record("not logged")
            return
        }
        #expect(try permit(5) == .stale(version: "5"))
        #expect(try redis.ask("HGET", "portcullis:perm:u", "r") == .bytes(Array("5:editor".utf8)))
        _ = try permit(nil)
        #expect(try redis.ask("HGET", "portcullis:perm:u", "r") == .bytes(Array("6:editor".utf8)))
    }

    @Test func sessionsAreMadeShownAndEnded() throws {
        let redis = try RedisServer()
        let settings = try settings(redis, ["sessions.user_field": "passport.user", "sessions.key": "sess:{id}"])
        let store = try SessionStore(try BlockingConnection(redis.url), settings)
        let id = try store.create(user: "alice", life: .seconds(60), fields: ["device": "d1"])
        let shown = try #require(try store.show(id))
        let json = try JSONSerialization.jsonObject(with: Data(shown.value.utf8)) as? [String: Any]
        #expect((json?["passport"] as? [String: Any])?["user"] as? String == "alice")
        #expect(json?["device"] as? String == "d1")
        #expect(json?["created_at"] is Int)
        let left = try #require(shown.left)
        #expect(left.count > 50_000 && left.count <= 60_000)
        #expect(try redis.ask("EXISTS", "sess:\(id)") == .integer(1))
        #expect(try store.end(id))
        #expect(try !store.end(id))
        #expect(try store.show(id) == nil)
    }

    @Test func aTicketIsKnownToRedisByItsHashOnly() throws {
        let redis = try RedisServer()
        let settings = try settings(redis)
        let gate = try gate(settings, redis)
        defer { gate.stop() }
        let connection = try BlockingConnection(redis.url)
        let ticket = try TicketMint.mint(user: "alice", resource: nil, connection, settings)
        let names = try redis.ask("KEYS", "portcullis:ticket:*").array?.compactMap(\.text) ?? []
        #expect(names.count == 1)
        #expect(names.allSatisfy { !$0.contains(ticket) })
        #expect(try WebSocketPeer(gate.endpoint, path: "/ws?ticket=\(ticket)").status == 101)
        #expect(try WebSocketPeer(gate.endpoint, path: "/ws?ticket=\(ticket)").status == 401)
    }

    @Test(arguments: ["json", "hash", "msgpack"]) func aGateAdmitsByTheSessionsThatAreMade(format: String) throws {
        let redis = try RedisServer()
        let settings = try settings(redis, ["sessions.format": format, "sessions.user_field": "who.id"])
        let gate = try gate(settings, redis)
        defer { gate.stop() }
        let store = try SessionStore(try BlockingConnection(redis.url), settings)
        let fields: [String: Any] = ["permissions": ["doc:1": "editor"], "n": 7, "gone": NSNull()]
        let id = try store.create(user: "alice", life: .seconds(60), fields: fields)
        let shown = try #require(try store.show(id))
        let json = try JSONSerialization.jsonObject(with: Data(shown.value.utf8)) as? [String: Any]
        #expect(json?["permissions"] != nil)
        #expect((shown.left?.count ?? 0) > 50_000)
        let peer = try WebSocketPeer(
            gate.endpoint,
            path: "/ws/doc:1",
            headers: [
                "Cookie: session_id=\(id)", "Origin: http://\(gate.endpoint)",
                "Sec-WebSocket-Protocol: portcullis.v1",
            ]
        )
        let welcome = try peer.receive(type: "welcome")
        #expect(welcome["user"] as? String == "alice")
        #expect(welcome["role"] as? String == "editor")
        #expect(try store.end(id))
        #expect(try peer.receiveClose() == .close(4410, "session_ended"))
        #expect(try store.show(id) == nil)
    }

    @Test func keysThatHoldOnlyAHash() throws {
        let redis = try RedisServer()
        let settings = try settings(redis, ["sessions.key": "s:{sha256}:v", "limits.connections": "8"])
        let gate = try gate(settings, redis)
        defer { gate.stop() }
        let store = try SessionStore(try BlockingConnection(redis.url), settings)
        func open(_ id: Identifier) throws -> WebSocketPeer {
            try WebSocketPeer(
                gate.endpoint,
                headers: ["Cookie: session_id=\(id)", "Origin: http://\(gate.endpoint)"]
            )
        }
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        try redis.ask("SET", "s:\(known):v", #"{"user_id":"alice"}"#, "EX", "60")
        let alice = try open("abc")
        #expect(alice.status == 101)
        // More strangers than the gate remembers keys: the one that is held is not forgotten.
        for stranger in 0..<40 { #expect(try open(Identifier("stranger\(stranger)")).status == 401) }
        let id = try store.create(user: "bob", life: .seconds(60), fields: [:])
        let bob = try open(id)
        #expect(bob.status == 101)
        try redis.ask("DEL", "s:\(known):v")
        #expect(try alice.receiveClose() == .close(4410, "session_ended"))
        #expect(try store.end(id))
        #expect(try bob.receiveClose() == .close(4410, "session_ended"))
    }

    @Test func theVerdictOnATokenIsOneLine() throws {
        let key = try SigningKey(secret: Array("this is a secret for the tests of verdicts".utf8).span)
        let policy = try TokenPolicy(issuers: [TokenIssuer(keys: try KeySet([key.verificationKey]))])
        let signer = TokenSigner(key)
        let exp = Int(Date().timeIntervalSince1970) + 60
        let good = try signer.sign(payload: Array("{\"sub\":\"a\\u0022b\",\n\"exp\":\(exp)}".utf8))
        let judge = TokenJudge(policy)
        let accepted = judge.judge(good)
        #expect(accepted.accepted)
        #expect(!accepted.json.contains("\n"))
        let json = try JSONSerialization.jsonObject(with: Data(accepted.json.utf8)) as? [String: Any]
        #expect(json?["user"] as? String == "a\"b")
        #expect((json?["claims"] as? [String: Any])?["exp"] as? Int == exp)
        for bad in [[], Array("x".utf8), [0xFF, 0], Array(repeating: UInt8(ascii: "a"), count: 100_000)] as [[UInt8]] {
            let verdict = judge.judge(bad)
            #expect(!verdict.accepted)
            #expect(verdict.json.contains(#""code":"malformed_token""#))
        }
        // Its payload is no JSON: with the signature alone it is accepted.
        let odd = try signer.sign(payload: Array("not json".utf8))
        #expect(!judge.judge(odd).accepted)
        #expect(TokenJudge(policy, signatureOnly: true).judge(odd).json == #"{"accepted":true}"#)
        let unusable = TokenJudge(unusable: "The key is unreadable.").judge(good)
        #expect(unusable.json.contains("The key is unreadable."))
    }

    @Test func settingsBecomeAConfiguration() throws {
        let redis = try RedisServer()
        let settings = try settings(
            redis,
            [
                "resources.default_role": "commenter", "limits.message": "2KiB", "limits.handshake": "3s",
                "path": "/live", "sessions.enabled": "false", "limits.connections": "10",
                "tokens.cache": "7",
            ]
        )
        let tokens = try TokenKeys.policy(
            settings,
            state: StateDirectory(path: redis.directory.appending(path: "state").path)
        )
        let gate = try GateAssembly.configuration(settings, redis: redis.url, tokens: tokens, version: "1")
        #expect(gate.defaultRole == RoleOrder.standard.role(named: "commenter"))
        #expect(gate.messageLimits.bytes == 2048)
        #expect(gate.handshake == .seconds(3))
        #expect(gate.sessions == nil)
        #expect(gate.connections == 10)
        #expect(gate.tokens.remembers == 7)
        let many = try self.settings(redis, ["limits.connections": "100000000"])
        #expect {
            try GateAssembly.configuration(many, redis: redis.url, tokens: tokens, version: "1")
        } throws: {
            "\($0)".contains("limits.connections")
        }
    }

    @Test(arguments: [
        "x", "redis://", "http://a", "redis://h:0", "redis://u@h", "unix://rel", "rediss://h/x", "redis+sentinel://h",
        "redis://h/x",
    ])
    func aBadRedisURLIsOneSentence(url: String) throws {
        #expect {
            _ = try RedisURL(url)
        } throws: {
            "\($0)".hasSuffix(".") && !"\($0)".contains("\n")
        }
    }

    @Test func aRedisThatRefusesIsNotWaitedFor() throws {
        let redis = try RedisServer(["--requirepass", "sesame"])
        var url = redis.url
        #expect {
            try RedisPlace.awaitAnswer(url, patience: 60_000)
        } throws: {
            "\($0)".contains("password")
        }
        url.password = "wrong"
        #expect {
            try RedisPlace.awaitAnswer(url, patience: 60_000)
        } throws: {
            "\($0)".contains("password") && !"\($0)".contains("wrong")
        }
        url.password = "sesame"
        try RedisPlace.awaitAnswer(url, patience: 60_000)
    }
}

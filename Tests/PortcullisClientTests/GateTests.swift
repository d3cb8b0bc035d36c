import Foundation
import PortcullisClient
import PortcullisControl
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import TestKit
import Testing

/// The client and a real gate with a real Redis.
@Suite("A real gate", .timeLimit(.minutes(1)))
struct GateTests {
    private struct Stage {
        let redis: RedisServer
        let settings: Settings
        let gate: Gate
        let url: GateURL

        init(_ flags: [String: String] = [:]) async throws {
            redis = try RedisServer()
            let state = redis.directory.appending(path: "state").path
            var all = [
                "redis.url": "unix://\(redis.socket)", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "node": "g1",
                "state_dir": state,
            ]
            all.merge(flags) { $1 }
            settings = try Settings.load(flags: all)
            let tokens = try TokenKeys.policy(settings, state: StateDirectory(path: state))
            let configuration = try GateAssembly.configuration(
                settings,
                redis: redis.url,
                tokens: tokens,
                version: "test"
            )
            let gate = try Gate(configuration) { _ in }
            self.gate = gate
            for _ in 0..<1000 where !gate.status.isReady { try await Task.sleep(for: .milliseconds(10)) }
            try #require(gate.status.isReady)
            url = try GateURL("ws://\(gate.endpoint)/ws")
        }

        func token(_ user: String, life: Int64 = 60, permissions: String? = nil) throws -> PortcullisClient.Secret {
            let key = try SigningKey.secretFile(redis.directory.appending(path: "state/secret").path)
            let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            var claims = [
                ("sub", TokenSigner.json(Identifier(user))), ("iat", TokenSigner.json(now)),
                ("exp", TokenSigner.json(now + .seconds(life))),
            ]
            if let permissions { claims.append(("permissions", Array(permissions.utf8))) }
            return PortcullisClient.Secret(String(decoding: try TokenSigner(key).sign(claims), as: UTF8.self))
        }

        func stop() {
            gate.stop()
        }
    }

    private func welcome(_ connection: GateConnection) async -> Welcome? {
        for await received in connection.messages {
            if case .welcome(let welcome) = received.message { return welcome }
        }
        return nil
    }

    @Test("every credential that is a token is welcomed, and a wrong one refused or closed with the gate's code")
    func credentials() async throws {
        let stage = try await Stage(["tokens.sources": "header,subprotocol,first_message"])
        defer { stage.stop() }
        let token = try stage.token("alice")
        for credential in [GateCredential.token(token), .subprotocolToken(token), .firstMessage(token: token)] {
            let connection = try await GateConnection.connect(to: stage.url, credential: credential)
            let welcome = await welcome(connection)
            #expect(welcome?.user == "alice", "\(credential)")
            #expect(await connection.close()?.code == 1000)
        }
        let error = await #expect(throws: GateFailure.self) {
            _ = try await GateConnection.connect(to: stage.url, credential: .token("a.b.c"))
        }
        #expect(error?.refusal?.status == 401)
        let closed = try await GateConnection.connect(to: stage.url, credential: .firstMessage(token: "a.b.c")).end()
        #expect(closed?.code == 4401)
        #expect(closed?.advice == .reauthenticate)
    }

    @Test("a session's cookie is welcomed, and ends with the session")
    func sessionCookie() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        try stage.redis.ask("SET", "session:s1", #"{"user_id":"carol"}"#, "EX", "600")
        let connection = try await GateConnection.connect(to: stage.url, credential: .session(id: "s1"))
        #expect(await welcome(connection)?.user == "carol")
        try stage.redis.ask("DEL", "session:s1")
        let closed = await connection.end()
        #expect(closed?.code == 4410 && closed?.advice == .never)
    }

    @Test("a ticket opens one connection")
    func ticket() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        let connection = try BlockingConnection(stage.redis.url)
        let minted = try TicketMint.mint(user: Identifier("alice"), resource: nil, connection, stage.settings)
        let ticket = PortcullisClient.Secret(minted)
        let first = try await GateConnection.connect(to: stage.url, credential: .ticket(ticket))
        #expect(await welcome(first)?.user == "alice")
        await first.close()
        let error = await #expect(throws: GateFailure.self) {
            _ = try await GateConnection.connect(to: stage.url, credential: .ticket(ticket))
        }
        #expect(error?.refusal?.code == "bad_ticket")
    }

    @Test("a bound room: what one publishes the other hears, and a revocation ends it")
    func boundRoom() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        let url = try stage.url.bound(to: "doc:1")
        let rights = #"{"doc:1":"editor"}"#
        let alice = GateSession(url: url, credential: .token(try stage.token("alice", permissions: rights)))
        let bob = GateSession(url: url, credential: .token(try stage.token("bob", permissions: rights)))
        let hers = try await alice.join("doc:1")
        let his = try await bob.join("doc:1")
        #expect(hers.role == "editor")
        try await hers.publish(try #require(RawJSON(#"{"op":1}"#)))
        for await event in his {
            guard case .message(let message) = event else { continue }
            #expect(message.user == "alice" && message.data == RawJSON(#"{"op":1}"#))
            break
        }
        try stage.redis.ask(
            "PUBLISH",
            "portcullis:events",
            #"{"v":1,"type":"revoke","select":{"user":"bob"}}"#
        )
        var last: GateSession.Event?
        for await event in bob { last = event }
        guard case .gaveUp(.closed(let closed)) = last else {
            throw Script.Unexpected("\(String(describing: last))")
        }
        #expect(closed.code == 4410 && closed.advice == .never)
        for await event in his where event != .disconnected { break }
        alice.close()
    }

    @Test("who is in a room: a bound one and a joined one, over their comings and goings")
    func presence() async throws {
        let stage = try await Stage(["resources.presence": "true"])
        defer { stage.stop() }
        let rights = #"{"doc:1":"editor"}"#
        let url = try stage.url.bound(to: "doc:1")
        let alice = GateSession(url: url, credential: .token(try stage.token("alice", permissions: rights)))
        let bob = GateSession(url: stage.url, credential: .token(try stage.token("bob", permissions: rights)))
        let hers = try await alice.join("doc:1")
        var events = hers.makeAsyncIterator()
        while hers.members == nil { _ = try #require(await events.next()) }
        #expect(hers.members == ["alice"])
        let his = try await bob.join("doc:1")
        #expect(Set(his.members ?? []) == ["alice", "bob"])
        while hers.members?.contains("bob") != true { _ = try #require(await events.next()) }
        try await his.leave()
        #expect(his.members == nil)
        while let event = await events.next() {
            guard case .left(let membership) = event else { continue }
            #expect(membership.user == "bob" && membership.resource == "doc:1")
            break
        }
        #expect(hers.members == ["alice"])
        for session in [alice, bob] { session.close() }
    }

    @Test("a token that expires: the gate says so, and the session refreshes the live connection")
    func expiry() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        let fresh = try stage.token("alice", life: 600)
        let session = GateSession(
            url: stage.url,
            credential: .token(try stage.token("alice", life: 2)),
            policy: .quick
        ) { _ in .token(fresh) }
        var expiries: [Double] = []
        var isRefreshed = false
        for await event in session {
            switch event {
            case .connected(let welcome): expiries.append(welcome?.expiresAt ?? 0)
            case .message(let received):
                if case .refreshed(let expires, _) = received.message {
                    isRefreshed = true
                    expiries.append(expires ?? 0)
                }
            default: break
            }
            if expiries.count == 2 { session.close() }
        }
        #expect(expiries.count == 2)
        #expect(expiries.last ?? 0 > (expiries.first ?? 0) + 100)
        #expect(isRefreshed)
    }
}

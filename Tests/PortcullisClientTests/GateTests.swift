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
@Suite("A real gate", .timeLimit(.minutes(5)))
struct GateTests {
    private struct Stage {
        let redis: RedisServer
        let settings: Settings
        let gate: Gate
        let url: GateURL

        /// - Parameter other: whose Redis and secret this gate shares.
        init(_ flags: [String: String] = [:], beside other: Stage? = nil) async throws {
            redis = try other?.redis ?? RedisServer()
            let state = redis.directory.appending(path: "state").path
            var all = [
                "redis.url": "unix://\(redis.socket)", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0",
                "node": other == nil ? "g1" : "g2",
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
            for _ in 0..<3000 where !gate.status.isReady { try await Task.sleep(for: .milliseconds(10)) }
            try #require(gate.status.isReady)
            url = try GateURL("ws://\(gate.endpoint)/ws")
        }

        func token(
            _ user: String,
            life: Int64 = 60,
            permissions: String? = nil,
            signedIn: Double? = nil
        ) throws -> PortcullisClient.Secret {
            let key = try SigningKey.secretFile(redis.directory.appending(path: "state/secret").path)
            let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            var claims = [
                ("sub", TokenSigner.json(Identifier(user))), ("iat", TokenSigner.json(now)),
                ("exp", TokenSigner.json(now + .seconds(life))),
            ]
            if let permissions { claims.append(("permissions", Array(permissions.utf8))) }
            if let signedIn { claims.append(("auth_time", Array(String(format: "%.3f", signedIn).utf8))) }
            return PortcullisClient.Secret(String(decoding: try TokenSigner(key).sign(claims), as: UTF8.self))
        }

        func publish(_ event: String) throws {
            try redis.ask("PUBLISH", "portcullis:events", event)
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
        try stage.publish(#"{"v":1,"type":"revoke","select":{"user":"bob"}}"#)
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

    /// The next event of a room, in short.
    private func next(_ events: inout Room.Iterator) async -> String {
        switch await events.next() {
        case .message(let message): "\(message.user ?? "?"): \(message.data?.text ?? "?")"
        case .joined(let membership): "joined as \(membership.role ?? "?")"
        case .left(let membership): membership.user == nil ? "left" : "?"
        case .permission(let change): "\(change.from ?? "none") to \(change.to ?? "none")"
        case .refused(let error): "refused: \(error.code)"
        case .missed: "missed"
        case .disconnected: "disconnected"
        case nil: "over"
        }
    }

    @Test("rooms that are joined reach over gates, and end when they are left")
    func rooms() async throws {
        let (one, two): (Stage, Stage)
        one = try await Stage()
        defer { one.stop() }
        two = try await Stage(beside: one)
        defer { two.stop() }
        let rights = #"{"doc:1":"editor","doc:2":"viewer"}"#
        let alice = GateSession(url: one.url, credential: .token(try one.token("alice", permissions: rights)))
        let bob = GateSession(url: two.url, credential: .token(try one.token("bob", permissions: rights)))
        let (hers, his) = (try await alice.join("doc:1"), try await bob.join("doc:1"))
        #expect(hers.role == "editor")
        var (atHers, atHis) = (hers.makeAsyncIterator(), his.makeAsyncIterator())
        #expect(await next(&atHers) == "joined as editor")
        #expect(await next(&atHis) == "joined as editor")
        try await hers.publish(try #require(RawJSON(#"{"op":1}"#)))
        #expect(await next(&atHis) == #"alice: {"op":1}"#)
        try await his.publish(RawJSON(string: "so do I"))
        #expect(await next(&atHers) == #"bob: "so do I""#)
        // What one may only view is no place to speak.
        let viewed = try await bob.join("doc:2")
        var atViewed = viewed.makeAsyncIterator()
        #expect(await next(&atViewed) == "joined as viewer")
        try await viewed.publish(.null)
        #expect(await next(&atViewed) == "refused: forbidden")
        let forbidden = await #expect(throws: GateFailure.self) { _ = try await bob.join("doc:9") }
        #expect(forbidden?.kind == .rejected && forbidden?.error?.code == "forbidden")
        // Who has heard what was said meanwhile knows that it is over.
        let carol = GateSession(url: two.url, credential: .token(try two.token("carol", permissions: rights)))
        var atCarols = try await carol.join("doc:1").makeAsyncIterator()
        #expect(await next(&atCarols) == "joined as editor")
        try await his.leave()
        #expect(await next(&atHis) == "left")
        #expect(await next(&atHis) == "over")
        try await hers.publish(RawJSON(string: "unheard"))
        #expect(await next(&atCarols) == #"alice: "unheard""#)
        var again = try await bob.join("doc:1").makeAsyncIterator()
        #expect(await next(&again) == "joined as editor")
        try await hers.publish(RawJSON(string: "heard"))
        #expect(await next(&again) == #"alice: "heard""#)
        for session in [alice, bob, carol] { session.close() }
    }

    @Test("roles that change are told, and end what they no longer allow")
    func roles() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        func permit(_ id: String, _ role: String) throws {
            try stage.publish(
                #"{"v":1,"event":"\#(id)","type":"permit","user":"bob","resource":"doc:1","role":\#(role)}"#
            )
        }
        let rights = #"{"doc:1":"viewer"}"#
        let bob = GateSession(url: stage.url, credential: .token(try stage.token("bob", permissions: rights)))
        let room = try await bob.join("doc:1")
        var events = room.makeAsyncIterator()
        #expect(await next(&events) == "joined as viewer")
        try permit("a", #""editor""#)
        #expect(await next(&events) == "viewer to editor")
        #expect(room.role == "editor")
        try await room.publish(.null)
        try permit("b", #""viewer""#)
        // The publish in between was taken: nothing was refused.
        #expect(await next(&events) == "editor to viewer")
        try await room.publish(.null)
        #expect(await next(&events) == "refused: forbidden")
        try permit("c", "null")
        #expect(await next(&events) == "viewer to none")
        #expect(await next(&events) == "left")
        #expect(await next(&events) == "over")
        let forbidden = await #expect(throws: GateFailure.self) { _ = try await bob.join("doc:1") }
        #expect(forbidden?.error?.code == "forbidden")
        bob.close()
    }

    @Test("a new sign-in that is asked for is shown on the live connection, which goes on behind the deadline")
    func reauthentication() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        let old = try stage.token("alice", signedIn: Date().timeIntervalSince1970 - 600)
        let asked = Script.Counter()
        let session = GateSession(url: stage.url, credential: .token(old), policy: .quick) { request in
            guard case .reauthenticate(let deadline?, "new_device") = request, (0...6).contains(deadline) else {
                throw Script.Unexpected("\(request)")
            }
            // The gate's guess at Redis' time may be behind by little.
            let ahead = Double(asked.next())
            return .token(try stage.token("alice", signedIn: Date().timeIntervalSince1970 + 0.1 + ahead))
        }
        // One that has no other sign-in to show.
        let silent = try await GateConnection.connect(to: stage.url, credential: .token(old))
        #expect(await welcome(silent)?.user == "alice")
        var seen: [String] = []
        reading: for await event in session {
            switch event {
            case .connected:
                seen.append("connected")
                // In the log before the gate hears of it: the sign-in that is shown is later, whenever the gate reads the log.
                let select = Selector(ids: [.user: "alice"])
                let demand = Decision.reauthenticate(select, except: nil, within: .seconds(6))
                let event = Event(id: "r", decision: demand, reason: "new_device")
                _ = try DecisionClient(try BlockingConnection(stage.redis.url), stage.settings).send(event)
            case .message(let received):
                if case .reauthenticate = received.message { seen.append("asked") }
                guard case .refreshed = received.message else { continue }
                seen.append("refreshed")
                // Then the deadline is over.
                let closed = await silent.end()
                #expect(closed?.code == 4401 && closed?.advice == .reauthenticate)
                try stage.publish(#"{"v":1,"type":"disconnect","select":{"user":"alice"},"code":4000}"#)
            case .closed(.closed(let closed), _):
                seen.append("closed with \(closed.code ?? 0)")
                session.close()
                // It may have begun to come back before that.
                break reading
            default: seen.append("\(event)")
            }
        }
        #expect(seen == ["connected", "asked", "refreshed", "closed with 4000"])
        #expect(asked.next() == 1)
    }

    @Test("a token that expires: the gate says so, and the session refreshes the live connection")
    func expiry() async throws {
        let stage = try await Stage()
        defer { stage.stop() }
        let short = try stage.token("alice", life: 8)
        let fresh = try stage.token("alice", life: 600, permissions: #"{"doc:1":"viewer"}"#)
        let asked = Script.Counter()
        let session = GateSession(url: stage.url, credential: .token(short), policy: .quick) { request in
            guard case .expiring(let seconds?) = request, (0...8).contains(seconds) else {
                throw Script.Unexpected("\(request)")
            }
            _ = asked.next()
            return .token(fresh)
        }
        let silent = try await GateConnection.connect(to: stage.url, credential: .token(short))
        var expiries: [Double] = []
        for await event in session {
            switch event {
            case .connected(let welcome): expiries.append(welcome?.expiresAt ?? 0)
            case .message(let received):
                guard case .refreshed(let expires, let permissions) = received.message else { continue }
                #expect(permissions == ["doc:1": "viewer"])
                expiries.append(expires ?? 0)
                // The old token's end is over: the connection is there still.
                #expect(await silent.end()?.code == 4401)
                #expect(try await session.join("doc:1").role == "viewer")
                session.close()
            default: break
            }
        }
        // One connection, one refresh.
        #expect(expiries.count == 2)
        #expect(expiries.last ?? 0 > (expiries.first ?? 0) + 100)
        #expect(asked.next() == 1)
    }
}

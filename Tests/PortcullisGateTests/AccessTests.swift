import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// The two users of README's *Access*: a gate and a publisher that may do what they need, and no more.
@Suite(.serialized) struct AccessTests {
    /// The line of README that sets up a user, so that what is told there is what is tested.
    private func line(_ user: String) throws -> [String] {
        let readme = URL(filePath: #filePath).appending(path: "../../../README.md").standardizedFileURL
        let text = try String(contentsOf: readme, encoding: .utf8).replacing("\\\n", with: " ")
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("ACL SETUSER \(user) ") })
        return line.split(separator: " ").map(String.init)
    }

    private func redis() throws -> RedisServer {
        let redis = try RedisServer()
        for user in ["gate", "publisher"] {
            let words = try line(user).map { Array($0.utf8) }
            #expect(try BlockingConnection(redis.url).ask(Command(words)) == .status(Array("OK".utf8)), "\(user)")
        }
        return redis
    }

    private func url(_ redis: RedisServer, _ user: String) -> RedisURL {
        var url = redis.url
        (url.user, url.password) = (user, "secret")
        return url
    }

    @Test func theGatesUserSufficesForEverythingAGateDoes() throws {
        let redis = try redis()
        let test = try GateUnderTest(redis: redis) {
            $0.redis = url(redis, "gate")
            $0.asksSharedKeys = true
            $0.asksActiveTokens = false
            $0.sessions?.touches = true
        }
        // A token, on a resource; a session without a time, which is renewed; a ticket.
        try redis.ask("HSET", "portcullis:perm:alice", "doc:1", "1:editor")
        let alice = try test.connect("alice", path: "/ws/doc:1")
        #expect(try alice.receive(type: "welcome")["role"] as? String == "editor")
        try redis.ask("SET", "session:s", #"{"user_id":"carol"}"#, "EX", "600")
        let cookie = ["Cookie: session_id=s", "Origin: http://\(test.gate.endpoint)"]
        let carol = try WebSocketPeer(test.gate.endpoint, headers: cookie)
        #expect(carol.status == 101)
        let ticket = String(decoding: try #require(Keys().ticket("t")), as: UTF8.self)
        let now = Int(Date().timeIntervalSince1970 * 1000)
        try redis.ask("SET", ticket, #"{"user":"bob","issued_ms":\#(now)}"#, "EX", "30")
        #expect(try WebSocketPeer(test.gate.endpoint, path: "/ws?ticket=t").status == 101)
        // The end of a session, an event that is adopted, a block that goes into the standing decisions.
        try redis.ask("DEL", "session:s")
        #expect(try carol.receiveClose() == .close(4410, "session_ended"))
        try test.publish(#"{"v":1,"event":"e","type":"block","select":{"user":"alice"}}"#)
        #expect(try alice.receiveClose() == .close(4423, "blocked"))
        try test.wait("the event is adopted") { try redis.ask("HEXISTS", "portcullis:standing", "e") == .integer(1) }
        let refused = test.reports.all.compactMap {
            switch $0 {
            case .redisLost(let why), .eventNotAdopted(let why), .sessionsNotRenewed(let why): why
            default: nil
            }
        }
        #expect(refused.isEmpty, "\(refused)")
    }

    @Test func aPublisherDecidesAndNothingElse() throws {
        let redis = try redis()
        let test = try GateUnderTest(redis: redis) { $0.redis = url(redis, "gate") }
        let alice = try test.connect("alice", raw: true)
        let publisher = try BlockingConnection(url(redis, "publisher"))
        for decision in [
            .revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append)),
            .revoke(.init(select: Selector(ids: [.token: "t"]), issuedBefore: .never)),
            .permit(.init(user: "bob", resource: "doc:1", role: nil, version: nil)), .lift(event: "x"),
        ] as [Decision] {
            let id = Identifier(UUID().uuidString)
            let event = Event(id: id, decision: decision)
            let json = EventCodec.encode(event, roles: .standard)
            let command = AppendScript.command(
                event,
                json: json,
                id: id,
                epoch: "e",
                keys: Keys(),
                policy: AppendScript.Policy()
            )
            guard case .appended(_, _, nil) = AppendScript.Answer(try publisher.ask(command)) else {
                Issue.record("\(decision.type) is refused: \(try publisher.ask(command))")
                continue
            }
        }
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        let bare = #"{"v":1,"type":"revoke","select":{"user":"bob"}}"#
        #expect(try publisher.ask(Command("PUBLISH", "portcullis:events", bare)) == .integer(1))
        for words in [
            ["GET", "session:s"], ["SET", "session:s", "x"], ["DEL", "portcullis:log"], ["FLUSHALL"], ["KEYS", "*"],
            ["PUBLISH", "portcullis:ctl:test", "x"], ["SUBSCRIBE", "portcullis:events"], ["CONFIG", "GET", "*"],
            ["SET", "active_token:alice:x", "1"], ["HGETALL", "portcullis:node:test"],
        ] {
            let answer = try BlockingConnection(url(redis, "publisher")).ask(Command(words.map { Array($0.utf8) }))
            #expect(answer.errorText?.hasPrefix("NOPERM") == true, "\(words): \(answer)")
        }
    }
}

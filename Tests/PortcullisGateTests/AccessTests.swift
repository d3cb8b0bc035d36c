import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// A Redis with the users of the README, and no rights for anybody else that a test relies on.
@Suite(.serialized) struct AccessTests {
    /// The lines of the README.
    private static func line(_ user: String) throws -> String {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
        let lines = try String(contentsOf: readme, encoding: .utf8).split(separator: "\n")
        return String(try #require(lines.first { $0.hasPrefix("ACL SETUSER \(user) ") }))
    }

    private func user(_ name: String, _ redis: RedisServer, adding more: String = "") throws -> RedisURL {
        let words = (try Self.line(name) + more).split(separator: " ").map { Array($0.utf8) }
        let answer = try BlockingConnection(redis.url).ask(Command(words))
        try #require(answer == .status(Array("OK".utf8)), "\(answer)")
        var url = redis.url
        url.user = name
        url.password = name == "portcullis-gate" ? "GATE-PASSWORD" : "PUBLISHER-PASSWORD"
        return url
    }

    private func append(
        _ decision: Decision,
        as url: RedisURL,
        id: Identifier,
        ack: Bool = false
    ) throws -> AppendScript.Answer {
        var event = Event(id: id, decision: decision)
        event.wantsReceipt = ack
        let command = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: id,
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        return AppendScript.Answer(try BlockingConnection(url).ask(command))
    }

    private func losses(_ test: GateUnderTest) -> [String] {
        test.reports.all.compactMap {
            switch $0 {
            case .redisLost(let why), .eventNotAdopted(let why), .notVouching(let why), .sessionsNotRenewed(let why),
                .roomNotPublished(let why), .presenceNotKept(let why):
                why
            case .replication(.unknown(let why), _): why
            default: nil
            }
        }
    }

    @Test func theGatesUserIsEnough() throws {
        let redis = try RedisServer()
        let gateUser = try user("portcullis-gate", redis)
        let publisher = try user("portcullis-publisher", redis)
        let test = try GateUnderTest(redis: redis) { configuration in
            configuration.redis = gateUser
            configuration.lease = .seconds(3)
            configuration.sessions?.touches = true
            configuration.asksSharedKeys = true
            configuration.presence = true
        }
        let headers = ["Origin: http://\(test.gate.endpoint)"]
        // A token, also on a resource; a session that is renewed; a ticket.
        let alice = try test.connect("alice", raw: true)
        let bound = try test.connect("bob", ["permissions": #"{"d":"editor"}"#], path: "/ws/d")
        _ = try bound.receive(type: "welcome")
        try redis.ask("SET", "session:s", #"{"user_id":"carol"}"#, "EX", "600")
        let carol = try WebSocketPeer(test.gate.endpoint, headers: headers + ["Cookie: session_id=s"])
        try redis.ask(
            "SET",
            String(decoding: Keys().ticket("t"), as: UTF8.self),
            #"{"user":"dave","issued_ms":\#(Int64(Date().timeIntervalSince1970 * 1000))}"#
        )
        let dave = try WebSocketPeer(test.gate.endpoint, path: "/ws?ticket=t")
        for peer in [alice, bound, carol, dave] { #expect(peer.status == 101) }
        // A room is heard, spoken in, and left.
        let joined = try test.connect("erin", ["permissions": #"{"d":"editor"}"#])
        _ = try joined.receive(type: "welcome")
        try joined.send(text: #"{"type":"join","resource":"e"}"#)
        _ = try joined.receive(type: "error")
        try joined.send(text: #"{"type":"join","resource":"d"}"#)
        _ = try joined.receive(type: "joined")
        try joined.send(text: #"{"type":"publish","resource":"d","data":1}"#)
        #expect(try bound.receive(type: "message")["data"] as? Int == 1)
        try joined.send(text: #"{"type":"leave","resource":"d"}"#)
        _ = try joined.receive(type: "left")
        let other = try test.connect("erin", ["permissions": #"{"f":"editor"}"#], path: "/ws/f", raw: true)
        try other.close(code: 1000)
        try test.wait("the room is left") {
            try redis.ask("PUBSUB", "NUMSUB", "portcullis:room:f").array?.last == .integer(0)
        }
        // Use renews the session.
        try carol.send(text: "x")
        try test.wait("the session is renewed") {
            let life = Keys().life(Array("session:s".utf8))
            return try redis.ask("EXISTS", String(decoding: life, as: UTF8.self)) == .integer(1)
        }
        // Decisions by the publisher's script, with a receipt; by a bare PUBLISH, which the gate adopts.
        let permit = Decision.permit(.init(user: "bob", resource: "d", role: RoleOrder.standard.viewer, version: nil))
        guard case .appended(_, _, nil) = try append(permit, as: publisher, id: "p", ack: true) else {
            Issue.record("the permit was refused")
            return
        }
        #expect(try bound.receive(type: "permission")["to"] as? String == "viewer")
        try test.wait("a receipt") { try redis.ask("LLEN", "portcullis:ack:p") == .integer(1) }
        let token = Decision.revoke(.init(select: Selector(ids: [.token: "jti"]), issuedBefore: .never))
        guard case .appended(_, _, nil) = try append(token, as: publisher, id: "r") else {
            Issue.record("the revocation was refused, or its shared key")
            return
        }
        #expect(try redis.ask("EXISTS", "revoked:jti") == .integer(1))
        let block = Decision.block(Selector(ids: [.user: "alice"]), except: nil, until: nil)
        #expect(try append(block, as: publisher, id: "b").isAppended)
        #expect(try alice.receiveClose() == .close(4423, "blocked"))
        #expect(try append(.lift(event: "b"), as: publisher, id: "l").isAppended)
        try test.wait("it is lifted") { try test.connect("alice", raw: true).status == 101 }
        let bare = #"{"v":1,"type":"revoke","select":{"user":"dave"}}"#
        let heard = try BlockingConnection(publisher).ask(Command("PUBLISH", "portcullis:events", bare))
        #expect(heard == .integer(1))
        #expect(try dave.receiveClose() == .close(4410, "revoked"))
        try test.wait("it is adopted") { try redis.ask("XLEN", "portcullis:log") == .integer(5) }
        // Anti-entropy, and the end of a session.
        try redis.ask("FLUSHALL")
        try test.wait("it is put back") { try redis.ask("XLEN", "portcullis:log").integer ?? 0 >= 2 }
        try test.wait("the session has ended") { try carol.receive() == .close(4410, "session_ended") }
        try test.wait("the probe goes on") { test.gate.status.isReady && test.gate.status.probe != nil }
        #expect(losses(test) == [])
    }

    @Test func thePublisherReadsNoSession() throws {
        let redis = try RedisServer()
        let publisher = try BlockingConnection(try user("portcullis-publisher", redis))
        try redis.ask("SET", "session:s", "secret")
        let forbidden = [
            ["GET", "session:s"], ["SET", "session:s", "x"], ["DEL", "portcullis:log"], ["DEL", "portcullis:standing"],
            ["GET", "portcullis:ticket:x"], ["SET", "portcullis:probe:n", "x"], ["XDEL", "portcullis:log", "1-1"],
            ["XADD", "portcullis:other", "*", "a", "b"], ["HSET", "portcullis:node:n", "a", "b"], ["KEYS", "*"],
            ["PUBLISH", "portcullis:ctl:n", "x"], ["PUBLISH", "portcullis:room:d", "x"], ["PUBLISH", "other", "x"],
            ["SUBSCRIBE", "portcullis:events"], ["FLUSHALL"], ["CONFIG", "SET", "maxmemory", "1"], ["ACL", "LIST"],
            ["EVAL", "return redis.call('GET', KEYS[1])", "1", "session:s"],
            ["EVAL", "return redis.call('GET', 'session:s')", "0"], ["SCRIPT", "FLUSH"], ["CLIENT", "LIST"],
        ]
        for words in forbidden {
            let answer = try publisher.ask(Command(words.map { Array($0.utf8) }))
            let error = answer.errorText ?? ""
            // Of what a script does Redis 7 says only that the user may not.
            #expect(
                error.contains("NOPERM") || error.contains("can't run this command") || error.contains("can't access"),
                "\(words): \(answer)"
            )
        }
    }

    /// What the README says that a backend needs which speaks in rooms.
    @Test func backendsInRooms() throws {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
        let text = try String(contentsOf: readme, encoding: .utf8)
        let more = try #require(text.firstRange(of: "&portcullis:room:* ")).lowerBound
        let rights = String(text[more...].prefix { $0 != "`" })
        let redis = try RedisServer()
        let backend = try BlockingConnection(try user("portcullis-publisher", redis, adding: " " + rights))
        #expect(try backend.ask(Command("PUBLISH", "portcullis:room:d", "{}")) == .integer(0))
        #expect(try backend.ask(Command("PUBLISH", "portcullis:ctl:d", "{}")).errorText != nil)
        #expect(try backend.ask(Command("SUBSCRIBE", "portcullis:room:d")).errorText == nil)
    }

    /// What the README says that commands need which ask gates.
    @Test func commandsThatAskGates() throws {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
        let text = try String(contentsOf: readme, encoding: .utf8)
        let more = try #require(text.firstRange(of: "&portcullis:ctl:*")).lowerBound
        let rights = String(text[more...].prefix { $0 != "`" })
        let redis = try RedisServer()
        let connection = try BlockingConnection(try user("portcullis-publisher", redis, adding: " " + rights))
        let asked = [
            ["ZRANGE", "portcullis:nodes", "0", "-1", "WITHSCORES"], ["HGETALL", "portcullis:node:a"], ["TIME"],
            ["BLPOP", "portcullis:ack:x", "0.01"], ["BLPOP", "portcullis:reply:x", "0.01"],
            ["PUBLISH", "portcullis:ctl:a", "{}"],
        ]
        for words in asked {
            #expect(try connection.ask(Command(words.map { Array($0.utf8) })).errorText == nil, "\(words)")
        }
    }
}

extension AppendScript.Answer {
    fileprivate var isAppended: Bool {
        if case .appended = self { true } else { false }
    }
}

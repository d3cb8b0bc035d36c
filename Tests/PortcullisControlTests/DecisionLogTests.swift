import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisRedis
import TestKit
import Testing

/// What `portcullis log` and `portcullis nodes` show, against a real Redis.
@Suite(.serialized) struct DecisionLogTests {
    private func settings(_ redis: RedisServer) throws -> Settings {
        try Settings.load(flags: ["redis.url": "unix://\(redis.socket)"])
    }

    private func send(_ client: DecisionClient, _ id: Identifier, _ decision: Decision) throws {
        _ = try client.send(Event(id: id, decision: decision))
    }

    @Test func showsWhatWasAppended() throws {
        let redis = try RedisServer()
        let settings = try settings(redis)
        let log = DecisionLog(try BlockingConnection(redis.url), settings)
        let client = try DecisionClient(try BlockingConnection(redis.url), settings)
        #expect(try log.page(after: nil).isEmpty)
        #expect(try log.tail() == "0-0")
        #expect(try log.wait(after: "0-0", milliseconds: 1).isEmpty)
        let alice = Selector(ids: [.user: "alice"])
        try send(client, "one", .block(alice, except: nil, until: nil))
        try send(client, "two", .permit(.init(user: "alice", resource: "doc:1", role: nil, version: nil)))
        try send(client, "three", .lift(event: "one"))
        let entries = try log.page(after: nil)
        #expect(entries.map(\.id) == ["one", "two", "three"])
        #expect(entries.map(\.version) == [nil, 1, nil])
        #expect(entries.map(\.order) == entries.map(\.order).sorted())
        #expect(try log.tail() == entries.last?.position)
        #expect(try log.page(after: entries[0].position) == Array(entries.dropFirst()))
        #expect(try log.wait(after: entries[1].position, milliseconds: 1000) == [entries[2]])
        let object = try JSONSerialization.jsonObject(with: Data(entries[1].json.utf8)) as? [String: Any]
        #expect(object?["event_id"] as? String == "two" && object?["version"] as? Int == 1)
        #expect((object?["event"] as? [String: Any])?["type"] as? String == "permit")
        // What is no event, and no JSON, is shown all the same, on one line.
        try redis.ask("XADD", "portcullis:log", "*", "e", "not\njson", "i", "x", "o", "y")
        let strange = try #require(try log.page(after: entries[2].position).first)
        #expect(strange.json.contains(#""event":"not\njson""#) && strange.order == 0)
    }

    @Test func aKeyOfAnotherTypeIsOneSentence() throws {
        let redis = try RedisServer()
        try redis.ask("SET", "portcullis:log", "x")
        let log = DecisionLog(try BlockingConnection(redis.url), try settings(redis))
        let error = #expect(throws: StartupError.self) { try log.page(after: nil) }
        #expect(error?.description.contains("WRONGTYPE") == true)
    }

    /// As somebody would who has nothing but the printed script.
    @Test func thePrintedScriptAppends() throws {
        let redis = try RedisServer()
        let event = #"{"v":1,"event":"e1","type":"revoke","select":{"token":"t1"}}"#
        func eval() throws -> [String] {
            let reply = try redis.ask(
                "EVAL",
                AppendScript.documented,
                "6",
                "portcullis:log",
                "portcullis:order",
                "portcullis:seen:e1",
                "portcullis:standing",
                "portcullis:epoch",
                "revoked:t1",
                event,
                "e1",
                "",
                "90000000",
                "2592000000",
                "portcullis:events",
                "86400000",
                "random"
            )
            return reply.array?.map { $0.text ?? "?" } ?? [reply.errorText ?? ""]
        }
        #expect(try eval()[2] == "appended")
        #expect(try eval()[2] == "repeated")
        #expect(try redis.ask("XLEN", "portcullis:log") == .integer(1))
        #expect(try redis.ask("EXISTS", "revoked:t1") == .integer(1))
    }

    @Test func showsTheGatesAndWhoIsFrozen() throws {
        let redis = try RedisServer()
        let client = try DecisionClient(try BlockingConnection(redis.url), try settings(redis))
        #expect(try client.nodeReports().isEmpty)
        let now = Int(Date().timeIntervalSince1970 * 1000)
        try redis.ask("ZADD", "portcullis:nodes", "\(now)", "gb", "\(now - 60_000)", "ga", "inf", "broken")
        try redis.ask("HSET", "portcullis:node:gb", "connections", "7", "version", "1")
        let nodes = try client.nodeReports()
        #expect(nodes.map(\.name) == ["ga", "gb"])
        #expect(nodes.map(\.isFrozen) == [true, false])
        #expect(nodes[1].fields == ["connections": "7", "version": "1"])
        #expect(nodes[0].heardMilliseconds >= 60_000 && nodes[0].fields.isEmpty)
    }
}

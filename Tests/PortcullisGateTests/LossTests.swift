import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Messages that Redis never brings: the log brings what they said.
@Suite(.serialized) struct LossTests {
    private func append(_ user: String, _ id: String) -> Command {
        let event = Event(
            id: Identifier(id),
            decision: .revoke(.init(select: Selector(ids: [.user: Identifier(user)]), issuedBefore: .append))
        )
        return AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: Identifier(id),
            epoch: "e",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
    }

    /// A connection, once the gate hears again.
    private func admitted(_ user: String, by gate: GateUnderTest) throws -> WebSocketPeer {
        var peer: WebSocketPeer?
        try gate.wait("\(user) is admitted") {
            let opened = try gate.connect(user, raw: true)
            if opened.status == 101 { peer = opened }
            return peer != nil
        }
        return try #require(peer)
    }

    private func expectAlive(_ peer: WebSocketPeer) throws {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        var answer = try peer.receive()
        while case .text = answer { answer = try peer.receive() }
        #expect(answer == .pong)
    }

    /// The subscriptions of both gates are cut in the moment of each decision.
    @Test func subscriptionsThatAreKilledLoseNothing() throws {
        let redis = try RedisServer()
        let gates = [try GateUnderTest(redis: redis, node: "one"), try GateUnderTest(redis: redis, node: "two")]
        let bystanders = try gates.map { try $0.connect("bystander", raw: true) }
        let connection = try BlockingConnection(redis.url)
        for round in 0..<5 {
            let victims = try gates.map { try admitted("victim-\(round)", by: $0) }
            _ = try connection.ask([
                Command("MULTI"), Command("CLIENT", "KILL", "TYPE", "pubsub"), append("victim-\(round)", "r\(round)"),
                Command("EXEC"),
            ])
            for victim in victims { #expect(try victim.receiveClose() == .close(4410, "revoked")) }
        }
        for bystander in bystanders { try expectAlive(bystander) }
    }

    /// More is published at once than Redis keeps for a subscriber: it cuts them off, and the decision behind the burst is enforced.
    @Test func aBurstThatRedisDoesNotKeepLosesNoDecision() throws {
        let redis = try RedisServer(["--client-output-buffer-limit", "pubsub", "65536", "65536", "0"])
        let gates = [try GateUnderTest(redis: redis, node: "one"), try GateUnderTest(redis: redis, node: "two")]
        let victims = try gates.map { try $0.connect("victim", raw: true) }
        let bystanders = try gates.map { try $0.connect("bystander", raw: true) }
        let data = String(repeating: "x", count: 50_000)
        let notice = #"{"v":1,"type":"notify","select":{"user":"nobody"},"data":"\#(data)"}"#
        let burst = (0..<40).map { _ in Command("PUBLISH", "portcullis:events", notice) }
        let all = [Command("MULTI")] + burst + [append("victim", "r"), Command("EXEC")]
        _ = try BlockingConnection(redis.url).ask(all)
        for victim in victims { #expect(try victim.receiveClose() == .close(4410, "revoked")) }
        for bystander in bystanders { try expectAlive(bystander) }
        // It did cut them off.
        for gate in gates {
            let losses = gate.reports.all.filter { if case .redisLost = $0 { true } else { false } }
            #expect(!losses.isEmpty)
        }
    }

    /// An entry that nobody published: the log alone has it.
    @Test func whatOnlyTheLogHoldsIsEnforced() throws {
        let redis = try RedisServer()
        let gates = [try GateUnderTest(redis: redis, node: "one"), try GateUnderTest(redis: redis, node: "two")]
        let victims = try gates.map { try $0.connect("victim", raw: true) }
        let event = #"{"v":1,"event":"r","type":"revoke","select":{"user":"victim"}}"#
        let order = Int(Date().timeIntervalSince1970 * 1000)
        try redis.ask("XADD", "portcullis:log", "*", "e", event, "i", "r", "o", "\(order)")
        for victim in victims { #expect(try victim.receiveClose() == .close(4410, "revoked")) }
        let old = try gates[0].token("victim", issued: Date().timeIntervalSince1970 - 60)
        for gate in gates { #expect(try gate.connect("victim", token: old).status == 401) }
    }
}

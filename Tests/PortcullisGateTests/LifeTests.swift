import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// What a gate does when Redis goes, when clients fall silent, and when it is told to stop.
@Suite(.serialized) struct LifeTests {
    @Test func withoutRedisNobodyIsAdmittedAndNobodyIsLost() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        test.redis.stop()
        try test.wait("the gate knows") { !test.gate.status.isReady }
        let refused = try test.connect("bob", raw: true)
        #expect(refused.status == 503)
        #expect(refused.body.contains(#""code":"cannot_vouch""#))
        #expect(refused.head.contains("Retry-After:"))
        try test.redis.start()
        try test.awaitReady()
        #expect(try test.connect("bob", raw: true).status == 101)
        // The link is a new one: what is published now still reaches the old connection.
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        let told = test.reports.all.filter { if case .redisLost = $0 { true } else { false } }
        #expect(!told.isEmpty)
    }

    @Test func whatWasDecidedWhileTheLinkWasDownIsCaughtUp() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true)
        let bob = try test.connect("bob", raw: true)
        // The subscription is cut on Redis' side; the message of this very moment is lost to it.
        let connection = try BlockingConnection(test.redis.url)
        let event = Event(
            id: "cut",
            decision: .revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append))
        )
        let append = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: "cut",
            epoch: "e",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        _ = try connection.ask([
            Command("MULTI"), Command("CLIENT", "KILL", "TYPE", "pubsub"), append, Command("EXEC"),
        ])
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        try bob.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try bob.receive() == .pong)
    }

    @Test func aFlushedRedisIsReadAnew() throws {
        let test = try GateUnderTest()
        try test.append(.block(Selector(ids: [.user: "mallory"]), except: nil, until: nil))
        try test.wait("the gate holds it") { test.gate.status.standing == 1 }
        try test.redis.ask("FLUSHALL")
        try test.append(.block(Selector(ids: [.user: "eve"]), except: nil, until: nil))
        try test.wait("it holds both") { test.gate.status.standing == 2 }
        for user in ["mallory", "eve"] {
            #expect(try test.connect(user, raw: true).status == 403)
        }
    }

    @Test func aSilentClientIsPingedThenClosed() throws {
        let test = try GateUnderTest { $0.heartbeat = .seconds(1) }
        let silent = try test.connect("alice", raw: true)
        #expect(try silent.receive() == .ping)
        #expect(try silent.receiveClose() == .close(4408, "heartbeat_timeout"))
    }

    @Test func aClientThatDoesNotReadIsClosedAndTheOthersAreNot() throws {
        let test = try GateUnderTest { $0.sendQueue = 64 << 10 }
        let permissions = ["permissions": #"{"doc:1":"editor"}"#]
        let deaf = try test.connect("deaf", permissions, path: "/ws/doc:1", raw: true)
        let alert = try test.connect("alert", permissions, path: "/ws/doc:1", raw: true)
        let writer = try test.connect("writer", permissions, path: "/ws/doc:1", raw: true)
        let text = String(repeating: "x", count: 100_000)
        for _ in 0..<200 {
            try writer.send(text: text)
            #expect(try alert.receive() == .text(text))
        }
        // What was on its way when the gate gave up may still come, then the end: never all of it.
        var received = 0
        while case .text? = try? deaf.receive() { received += 1 }
        #expect(received < 200)
    }

    @Test func theDrainTellsEverybodyAndEnds() throws {
        let test = try GateUnderTest { $0.drainDeadline = Milliseconds(2000) }
        let peers = try (0..<20).map { try test.connect("user\($0)") }
        test.gate.beginDraining()
        for peer in peers {
            let closing = try peer.receive(type: "closing")
            #expect(closing["reason"] as? String == "shutting_down")
            let retry = try #require(closing["retry_after_ms"] as? Int)
            #expect((5000...15_000).contains(retry))
            #expect(try peer.receive() == .close(1001, "shutting_down"))
        }
        test.gate.stop()
        #expect(try test.redis.ask("ZCARD", "portcullis:nodes") == .integer(0))
        #expect(throws: SocketError.self) { _ = try BlockingSocket(test.gate.endpoint, timeout: 1000) }
    }

    @Test func connectionsLeaveNothingBehind() throws {
        let test = try GateUnderTest()
        for round in 0..<3 {
            var peers: [WebSocketPeer] = []
            for number in 0..<100 {
                peers.append(try test.connect("user\(number % 7)", ["jti": "\"\(round)-\(number)\""], raw: true))
            }
            for peer in peers.prefix(50) { try peer.close(code: 1000) }
            peers.removeAll()
            try test.wait("all are gone") { test.gate.status.connections == 0 }
        }
    }

    @Test func aPortInUseIsRefusedThoughItIsShared() throws {
        let test = try GateUnderTest()
        #expect {
            _ = try GateUnderTest(redis: test.redis) { $0.listen = test.gate.endpoint }
        } throws: { error in
            (error as? SocketError)?.isAddressInUse == true
        }
    }

    @Test func rawMessagesReachTheRoomAcrossLoops() throws {
        let test = try GateUnderTest(loops: 4)
        let editor = ["permissions": #"{"doc:1":"editor"}"#]
        let viewer = ["permissions": #"{"doc:1":"viewer"}"#]
        let readers = try (0..<12).map { try test.connect("reader\($0)", viewer, path: "/ws/doc:1", raw: true) }
        let version1 = try test.connect("v1", viewer, path: "/ws/doc:1")
        _ = try version1.receive(type: "welcome")
        let elsewhere = try test.connect("x", ["permissions": #"{"doc:2":"viewer"}"#], path: "/ws/doc:2", raw: true)
        let writer = try test.connect("writer", editor, path: "/ws/doc:1", raw: true)
        // A viewer's message is dropped.
        try readers[0].send(text: "not for you")
        try writer.send(text: "hello")
        for reader in readers { #expect(try reader.receive() == .text("hello")) }
        let message = try version1.receive(type: "message")
        #expect(message["data"] as? String == "hello")
        #expect(message["user"] as? String == "writer")
        try elsewhere.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try elsewhere.receive() == .pong)
    }
}

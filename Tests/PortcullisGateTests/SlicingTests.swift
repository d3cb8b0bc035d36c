import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

@testable import struct PortcullisGate.Backlog
@testable import struct PortcullisGate.LeasesBehind

/// Mail that waits for the next turn keeps its order.
@Suite struct BacklogTests {
    @Test func theOrderIsKeptAcrossTurns() throws {
        let mailbox = try Mailbox<Int>()
        var backlog = Backlog<Int>()
        var taken: [Int] = []
        var next = 0
        for turn in 0..<200 {
            for _ in 0..<(turn % 7) {
                mailbox.post(next)
                next += 1
            }
            backlog.fill(from: mailbox)
            for _ in 0..<(turn % 4) { if let one = backlog.popFirst() { taken.append(one) } }
        }
        while let one = backlog.popFirst() { taken.append(one) }
        #expect(taken == Array(0..<next))
        #expect(backlog.isEmpty)
        #expect(backlog.popFirst() == nil)
    }

    /// Guarantee 4: the lease travels behind the decisions that it covers.
    @Test func aLeaseWaitsForWhatStandsBeforeIt() {
        func at(_ second: Int64) -> BootTime { BootTime(nanoseconds: second * 1_000_000_000) }
        var leases = LeasesBehind()
        leases.append(at(1), behind: 4)
        leases.append(at(2), behind: 4)
        leases.append(at(3), behind: 6)
        #expect(leases.take(before: 4).isEmpty)
        // The walks 4 and 5 are through, or 4 alone: 6 is not.
        #expect(leases.take(before: 5) == [at(2)])
        #expect(leases.take(before: 6).isEmpty)
        #expect(leases.take(before: .max) == [at(3)])
        #expect(leases.take(before: .max).isEmpty)
    }
}

/// What concerns many is done a slice a turn, and whole in the end.
@Suite(.serialized) struct SlicingTests {
    private func ping(_ peer: WebSocketPeer) throws {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try peer.receive() == .pong)
    }

    /// A decision against all but one user: everybody else goes, its receipt counts them, and one against a single user behind it is done.
    @Test func aDecisionAgainstManyIsWhole() throws {
        let test = try GateUnderTest(loops: 1)
        let many = try (0..<300).map { try test.connect("user\($0)", raw: $0 % 2 == 0) }
        let (spared, single) = (try test.connect("spared", raw: true), try test.connect("single", raw: true))
        try test.publish(
            #"{"v":1,"event":"n","type":"notify","select":{"all":true},"except":{"user":"single"},"data":7,"ack":true}"#
        )
        let json = #"{"v":1,"event":"r","type":"revoke","select":{"all":true},"except":{"user":"spared"},"ack":true}"#
        let all = Decision.Revocation(select: Selector(all: true), issuedBefore: .append)
        let command = AppendScript.command(
            Event(id: "r", decision: .revoke(all)),
            json: Array(json.utf8),
            id: "r",
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        _ = try BlockingConnection(test.redis.url).ask(command)
        #expect(try spared.receive() == .text("7"))
        #expect(try single.receiveClose() == .close(4410, "revoked"))
        for (number, peer) in many.enumerated() {
            if number % 2 == 0 {
                #expect(try peer.receive() == .text("7"))
            } else {
                _ = try peer.receive(type: "notice")
            }
            #expect(try peer.receiveClose() == .close(4410, "revoked"))
            #expect(try peer.receive() == .end)
        }
        try ping(spared)
        func receipt(_ event: String) throws -> [String: Any] {
            let key = String(decoding: Keys().acknowledgements(Identifier(event)), as: UTF8.self)
            try test.wait("the receipt of \(event)") { try test.redis.ask("LLEN", key) == .integer(1) }
            let text = try #require(try test.redis.ask("LINDEX", key, "0").text)
            return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }
        let notified = try receipt("n")
        #expect(notified["matched"] as? Int == 301)
        #expect(notified["spared"] as? Int == 1)
        let revoked = try receipt("r")
        #expect(revoked["matched"] as? Int == 301)
        #expect(revoked["closed"] as? Int == 301)
        #expect(revoked["spared"] as? Int == 1)
    }

    /// A question that matches many is answered whole, up to its limit, and says when there are more.
    @Test(arguments: [(1000, 120, false), (7, 14, true)])
    func aQuestionIsAnsweredWhole(limit: Int, rows: Int, more: Bool) throws {
        let test = try GateUnderTest()
        let peers = try (0..<120).map { try test.connect("user\($0)", raw: true) }
        let question = ControlMessage.connections(
            id: "q1",
            select: Selector(all: true),
            except: Selector(ids: [.user: "user5"]),
            limit: limit
        )
        let channel = Keys().control("test")
        try test.redis.ask("PUBLISH", channel, String(decoding: question.encode(), as: UTF8.self))
        let key = String(decoding: Keys().reply("q1"), as: UTF8.self)
        try test.wait("the answer") { try test.redis.ask("LLEN", key) == .integer(1) }
        let text = try #require(try test.redis.ask("LINDEX", key, "0").text)
        let answer = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let users = (answer["connections"] as? [[String: Any]] ?? []).compactMap { $0["user"] as? String }
        #expect(Set(users).count == users.count)
        #expect(answer["spared"] as? Int == 1)
        #expect(answer["more"] as? Bool == more)
        if more { #expect(users.count <= rows) } else { #expect(users.count == peers.count - 1) }
        #expect(!users.contains("user5"))
    }

    /// Thousands of decisions that nobody published: read at once, enforced one after the other, the last one too.
    @Test func whatIsReadAfterAGapIsEnforcedInOrder() throws {
        let test = try GateUnderTest()
        let victim = try test.connect("victim", ["permissions": #"{"doc:1":"owner"}"#], path: "/ws/doc:1")
        let bystander = try test.connect("bystander", raw: true)
        #expect(try victim.receive(type: "welcome")["role"] as? String == "owner")
        let order = Int(Date().timeIntervalSince1970 * 1000)
        let count = 3000
        var commands = [Command("MULTI")]
        for number in 0..<count {
            let id = "e\(number)"
            var event = #"{"v":1,"event":"\#(id)","type":"revoke","select":{"user":"nobody\#(number)"}}"#
            var words = ["XADD", "portcullis:log", "*", "i", id, "o", "\(order + number)"]
            if number % 100 == 99 {
                let role = number / 100 % 2 == 0 ? "viewer" : "editor"
                event =
                    #"{"v":1,"event":"\#(id)","type":"permit","user":"victim","resource":"doc:1","role":"\#(role)"}"#
                words += ["version", "\(number + 1)"]
            }
            if number == count - 1 {
                event = #"{"v":1,"event":"\#(id)","type":"revoke","select":{"user":"victim"}}"#
                words = ["XADD", "portcullis:log", "*", "i", id, "o", "\(order + number)"]
            }
            words += ["e", event]
            commands.append(Command(words.map { Array($0.utf8) }))
        }
        commands.append(Command("EXEC"))
        _ = try BlockingConnection(test.redis.url, timeout: 20_000).ask(commands)
        var versions: [Int] = []
        var last = ""
        while last != "closing" {
            let message = try victim.receiveMessage()
            last = message["type"] as? String ?? ""
            if last == "permission", let version = message["version"] as? Int { versions.append(version) }
        }
        #expect(versions == (1..<30).map { $0 * 100 })
        #expect(try victim.receiveClose() == .close(4410, "revoked"))
        try ping(bystander)
        let tail = try test.redis.ask("XREVRANGE", "portcullis:log", "+", "-", "COUNT", "1").array?.first?.array?.first?
            .text
        try test.wait("the view is confirmed behind them") {
            test.gate.status.position == tail && test.gate.status.isReady
        }
    }
}

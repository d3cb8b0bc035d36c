import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

@testable import struct PortcullisGate.SessionCare

/// All sessions are read again, a share at a time, and none is believed for longer than the lease.
@Suite struct SessionCareTests {
    private func at(_ milliseconds: Int64) -> BootTime {
        BootTime(nanoseconds: milliseconds * 1_000_000)
    }

    /// - Returns: the slots that were due in each step of so many milliseconds.
    private func run(_ care: inout SessionCare, _ times: StrideTo<Int64>, slots: Int, period: Int64) -> [Int] {
        times.map { care.due(now: at($0), slots: slots, period: Milliseconds(period)) }
    }

    @Test func aSweepGoesRoundOnce() {
        var care = SessionCare(now: at(0))
        let steps = run(&care, stride(from: 50, to: 30_050, by: 50), slots: 10_000, period: 30_000)
        #expect((9999...10_000).contains(steps.reduce(0, +)))
        #expect(steps.allSatisfy { (16...17).contains($0) })
    }

    @Test func aRoundEndsInTimeAndIsSpread() {
        var care = SessionCare(now: at(0))
        care.begin(until: at(1000), slots: 5000)
        let steps = run(&care, stride(from: 10, to: 1010, by: 10), slots: 5000, period: 30_000)
        #expect((5000...5001).contains(steps.reduce(0, +)))
        #expect(steps.allSatisfy { (49...51).contains($0) })
        #expect(care.rounds.isEmpty)
        // Behind it the sweep goes on as before.
        #expect(run(&care, stride(from: 1050, to: 2050, by: 50), slots: 5000, period: 30_000).reduce(0, +) <= 167)
    }

    /// One that begins while another is under way covers all slots anew, and does not delay what is left of the other.
    @Test func roundsOverlap() {
        var care = SessionCare(now: at(0))
        care.begin(until: at(1000), slots: 1000)
        let first = run(&care, stride(from: 10, to: 510, by: 10), slots: 1000, period: 30_000).reduce(0, +)
        #expect((499...501).contains(first))
        care.begin(until: at(2000), slots: 1000)
        #expect(care.rounds.count == 2)
        let second = run(&care, stride(from: 510, to: 1010, by: 10), slots: 1000, period: 30_000).reduce(0, +)
        #expect(first + second >= 1000)
        #expect(care.rounds.count == 1)
        let third = run(&care, stride(from: 1010, to: 2010, by: 10), slots: 1000, period: 30_000).reduce(0, +)
        #expect(second + third >= 1000)
        #expect(care.rounds.isEmpty)
        // Without end they are bounded, and the first to end stays the first.
        for number in Int64(0)..<100 { care.begin(until: at(3000 + number), slots: 1000) }
        #expect(care.rounds.count == 4)
        #expect(care.rounds.first?.end == at(3000))
        care.begin(until: at(2900), slots: 1000)
        #expect(care.rounds.map(\.end) == [at(2900)])
    }

    /// However late, and however many: a turn has its measure.
    @Test func noTurnTakesAll() {
        var care = SessionCare(now: at(0))
        care.begin(until: at(10), slots: 19_000)
        let steps = run(&care, stride(from: 1000, to: 3000, by: 10), slots: 19_000, period: 30_000)
        #expect(steps.allSatisfy { $0 <= SessionCare.mostPerTurn })
        #expect(steps.reduce(0, +) >= 19_000)
        #expect(care.rounds.isEmpty)
    }
}

/// The lease of sessions, on real gates.
@Suite(.serialized) struct SessionLeaseTests {
    private func open(_ test: GateUnderTest, _ id: String, path: String = "/ws") throws -> WebSocketPeer {
        let headers = [
            "Cookie: session_id=\(id)", "Origin: http://\(test.gate.endpoint)",
            "Sec-WebSocket-Protocol: portcullis.v1",
        ]
        let peer = try WebSocketPeer(test.gate.endpoint, path: path, headers: headers)
        _ = try peer.receive(type: "welcome")
        return peer
    }

    private func store(_ test: GateUnderTest, _ ids: [String]) throws {
        let now = Int(Date().timeIntervalSince1970 * 1000)
        for id in ids {
            let value =
                #"{"user_id":"user-\#(id)","created_at":\#(now - 1000),"permissions":{"doc:1":"editor"}}"#
            try test.redis.ask("SET", "session:\(id)", value, "EX", "600")
        }
    }

    /// The subscriber is thrown out in the moment in which sessions end: nobody tells of them, and they are read again.
    @Test func whatNobodyToldOfIsFound() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        let ids = (0..<60).map { "s\($0)" }
        try store(test, ids)
        let peers = try ids.map { try open(test, $0) }
        let ended = [3, 31, 59]
        let deletions = ended.map { Command("DEL", "session:s\($0)") }
        _ = try BlockingConnection(test.redis.url)
            .ask([Command("MULTI"), Command("CLIENT", "KILL", "TYPE", "pubsub")] + deletions + [Command("EXEC")])
        for index in ended { #expect(try peers[index].receiveClose() == .close(4410, "session_ended")) }
        for (index, peer) in peers.enumerated() where !ended.contains(index) {
            try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
            #expect(try peer.receive() == .pong)
        }
    }

    /// A session that ended during a freeze: at the thaw nothing of it passes before it has been read, though its turn comes late.
    @Test func atTheThawNothingPassesUnread() throws {
        // One loop: of two, one may be let go and speak before the other has heard that the freeze is over, and whose loop that is misses it.
        let test = try GateUnderTest(loops: 1) { $0.lease = .seconds(3) }
        let ids = ["alice"] + (0..<80).map { "s\($0)" }
        try store(test, ids)
        let peers = try ids.map { try open(test, $0, path: "/ws/doc:1") }
        let alice = peers[0]
        let editor = ["permissions": #"{"doc:1":"editor"}"#]
        let bob = try test.connect("bob", editor, path: "/ws/doc:1")
        let carol = try test.connect("carol", editor, path: "/ws/doc:1")
        for peer in [bob, carol] { _ = try peer.receive(type: "welcome") }
        // Accepted before Redis stands still, and so read by it before any link that the gate makes anew.
        let writer = try BlockingSocket(.unix(path: test.redis.socket), timeout: 10_000)
        try writer.write(Array("PING\r\n".utf8))
        #expect(String(decoding: try writer.read(), as: UTF8.self) == "+PONG\r\n")
        try test.redis.pause()
        try test.wait("the gate is frozen") { test.gate.status.staleness ?? Milliseconds(0) > Milliseconds(4500) }
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":"of one who is gone"}"#)
        try peers[1].send(text: #"{"type":"publish","resource":"doc:1","data":"of one who stays"}"#)
        try writer.write(Array("DEL session:alice\r\n".utf8))
        test.redis.resume()
        #expect(try alice.receiveClose() == .close(4410, "session_ended"))
        #expect(try bob.receive(type: "message")["data"] as? String == "of one who stays")
        try test.awaitReady()
        try carol.send(text: #"{"type":"publish","resource":"doc:1","data":"last"}"#)
        #expect(try bob.receive(type: "message")["data"] as? String == "last")
    }
}

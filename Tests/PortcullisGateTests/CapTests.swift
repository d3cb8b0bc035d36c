import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import Synchronization
import TestKit
import Testing

/// How many connections there may be: of a gate, and of a user on all gates.
@Suite(.serialized) struct CapTests {
    private func pair(_ cap: Int, _ policy: AdmissionScript.Policy = .refuse) throws -> (GateUnderTest, GateUnderTest) {
        let first = try GateUnderTest(node: "one") { $0.userCap = UserCap(connections: cap, policy: policy) }
        let second = try GateUnderTest(redis: first.redis, node: "two") {
            $0.userCap = UserCap(connections: cap, policy: policy)
        }
        return (first, second)
    }

    private func places(_ test: GateUnderTest, _ user: String) throws -> Int {
        try Int(test.redis.ask("ZCARD", "portcullis:user:\(user)").integer ?? -1)
    }

    // MARK: - Of a gate

    @Test func aFullGateAcceptsNobodyUntilSomebodyGoes() throws {
        let test = try GateUnderTest { $0.connections = 3 }
        let peers = try (0..<3).map { _ in try test.connect("alice", raw: true) }
        try test.wait("it is told") {
            test.reports.all.contains { if case .full(connections: 3) = $0 { true } else { false } }
        }
        // More come; they wait, or are refused where a loop had taken them already. Those who are in are unharmed.
        let answers = Mutex<[Int]>([])
        let threads = (0..<6).map { _ in
            TestThread {
                let status = (try? test.connect("bob", raw: true).status) ?? -1
                answers.withLock { $0.append(status) }
            }
        }
        for peer in peers {
            try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
            #expect(try peer.receive() == .pong)
        }
        #expect(test.gate.status.connections <= 3 + 2)
        #expect(answers.withLock { $0.allSatisfy { $0 == 503 } })
        // Each that comes in ends at once, and makes room for the next.
        for peer in peers { try peer.close(code: 1000) }
        for thread in threads { thread.join() }
        let statuses = answers.withLock { $0 }
        #expect(statuses.count == 6 && statuses.allSatisfy { [101, 503].contains($0) })
        #expect(statuses.contains(101))
        try test.wait("there is room") { try test.connect("carol", raw: true).status == 101 }
    }

    // MARK: - Of a user

    @Test func handshakesInParallelTakeExactlyTheCap() throws {
        let (first, second) = try pair(7)
        let peers = Mutex<[WebSocketBox]>([])
        let threads = (0..<20).map { number in
            TestThread {
                for _ in 0..<10 {
                    let test = number % 2 == 0 ? first : second
                    if let peer = try? test.connect("alice") { peers.withLock { $0.append(WebSocketBox(peer)) } }
                }
            }
        }
        for thread in threads { thread.join() }
        let statuses = peers.withLock { $0.map(\.peer.status) }
        #expect(statuses.count == 200)
        #expect(statuses.count { $0 == 101 } == 7)
        #expect(statuses.count { $0 == 429 } == 193)
        let refused = peers.withLock { $0.first { $0.peer.status == 429 }?.peer.body }
        #expect(refused?.contains(#""code":"too_many_connections""#) == true)
        #expect(try first.connect("bob").status == 101)
        // The places come back, and what was refused has taken none.
        peers.withLock { $0.removeAll() }
        try first.wait("all places are free") { try places(first, "alice") == 0 }
        #expect(try second.connect("alice").status == 101)
    }

    @Test func theOldestIsReplacedOnWhateverGate() throws {
        let (first, second) = try pair(2, .replace)
        let oldest = try first.connect("alice")
        let next = try second.connect("alice")
        _ = try oldest.receive(type: "welcome")
        _ = try next.receive(type: "welcome")
        let third = try second.connect("alice")
        _ = try third.receive(type: "welcome")
        let closing = try oldest.receive(type: "closing")
        #expect(closing["code"] as? Int == 4409)
        #expect(closing["reason"] as? String == "replaced")
        #expect(closing["reconnect"] as? String == "never")
        let newest = try first.connect("alice")
        _ = try newest.receive(type: "welcome")
        #expect(try next.receiveClose() == .close(4409, "replaced"))
        // Had it gone meanwhile, its place would have been free.
        withExtendedLifetime(third) {}
    }

    @Test func aReplacementThatWasNotHeardIsMadeUpFor() throws {
        let (first, second) = try pair(1, .replace)
        let old = try first.connect("alice")
        _ = try old.receive(type: "welcome")
        // The place is taken away, and the gate is told nothing.
        try first.redis.ask("DEL", "portcullis:user:alice")
        let new = try second.connect("alice")
        _ = try new.receive(type: "welcome")
        try first.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        #expect(try old.receiveClose() == .close(4409, "replaced"))
        try new.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try new.receive() == .pong)
        #expect(try places(second, "alice") == 1)
    }

    @Test func aGateThatEndsGivesItsPlacesBack() throws {
        let (first, second) = try pair(1)
        let peer = try first.connect("alice")
        #expect(try second.connect("alice").status == 429)
        first.gate.stop()
        _ = peer
        #expect(try second.connect("alice").status == 101)
    }

    @Test func anEmptiedRedisLearnsThePlacesAgain() throws {
        let (first, second) = try pair(1)
        let peer = try first.connect("alice")
        _ = try peer.receive(type: "welcome")
        try first.redis.ask("FLUSHALL")
        try first.wait("the place is back") { try places(first, "alice") == 1 }
        // Which has yet to read the log anew, now or in a moment.
        var status = 503
        try second.wait("the second gate vouches") {
            status = try second.connect("alice").status
            return status != 503
        }
        #expect(status == 429)
    }

    @Test func aCapThatComesByAReloadCountsWhoIsThere() throws {
        let test = try GateUnderTest()
        let peers = try (0..<3).map { _ in try test.connect("alice") }
        try test.reload { $0.userCap = UserCap(connections: 3) }
        try test.wait("they are counted") { try places(test, "alice") == 3 }
        #expect(try test.connect("alice").status == 429)
        #expect(peers.allSatisfy { $0.status == 101 })
    }

    /// An error of Redis refuses the one handshake and nobody else.
    @Test func anErrorRefusesTheOne() throws {
        let (first, _) = try pair(1)
        try first.redis.ask("SET", "portcullis:user:alice", "nonsense")
        #expect(try first.connect("alice").status == 503)
        #expect(try first.connect("bob").status == 101)
    }
}

/// A peer on its way from one thread to another.
private final class WebSocketBox: @unchecked Sendable {
    // Unchecked: it is filled by the one thread and read by the other once the first has ended.
    let peer: WebSocketPeer

    init(_ peer: WebSocketPeer) {
        self.peer = peer
    }
}

private final class TestThread: Sendable {
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () -> Void) {
        let done = done
        Thread.detachNewThread {
            body()
            done.signal()
        }
    }

    func join() {
        done.wait()
    }
}

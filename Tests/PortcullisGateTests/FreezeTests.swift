import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// A Redis that stands still: nobody is admitted, nothing passes, nobody is closed before the time.
@Suite(.serialized) struct FreezeTests {
    /// The lease is one that a busy machine does not lose by itself: nobody would be admitted meanwhile, and what is said would be missed.
    private static let lease = Milliseconds.seconds(3)
    /// Behind the lease, by so much that every loop has seen its end.
    private static let frozen = Milliseconds(4500)

    private func gate(
        loops: Int = 2,
        _ change: @escaping (inout GateConfiguration) -> Void = { _ in }
    ) throws -> GateUnderTest {
        try GateUnderTest(loops: loops) { configuration in
            configuration.lease = Self.lease
            change(&configuration)
        }
    }

    /// Waits until the lease is over, and every loop has seen it.
    private func awaitFreeze(_ test: GateUnderTest) throws {
        try test.wait("the gate is frozen") {
            test.gate.status.isFrozen && test.gate.status.staleness ?? Milliseconds(0) > Self.frozen
        }
    }

    private let editor = ["permissions": #"{"doc:1":"editor"}"#]

    @Test func freezesAndThaws() throws {
        // One loop: of two, one may be let go and speak before the other has heard that the freeze is over, and whose loop that is has missed
        // it, as it is told.
        let test = try gate(loops: 1) { $0.heartbeat = .seconds(6) }
        let alice = try test.connect("alice", editor, path: "/ws/doc:1")
        let bob = try test.connect("bob", editor, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":0}"#)
        #expect(try bob.receive(type: "message")["data"] as? Int == 0)

        try test.redis.pause()
        // Long enough for whatever Redis had answered before.
        try awaitFreeze(test)
        #expect(!test.gate.status.isReady)
        let refused = try test.connect("carol", raw: true)
        #expect(refused.status == 503)
        #expect(refused.body.contains(#""code":"cannot_vouch""#))
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":1}"#)
        // More than two heartbeats of silence: frozen time does not count.
        for seconds in [8, 13] as [Int64] {
            try test.wait("the freeze lasts") { test.gate.status.staleness ?? Milliseconds(0) > .seconds(seconds) }
        }

        test.redis.resume()
        try test.awaitReady()
        // What alice said was not even read during the freeze: it comes behind `missed`.
        let first = try bob.receiveMessage()
        #expect(first["type"] as? String == "missed")
        #expect(first["resource"] as? String == "doc:1")
        #expect(try bob.receive(type: "message")["data"] as? Int == 1)
        #expect(try alice.receiveMessage()["type"] as? String == "missed")
        #expect(try test.connect("carol").status == 101)
        #expect(test.reports.all.contains { if case .froze(serves: false) = $0 { true } else { false } })
        #expect(test.reports.all.contains { if case .thawed = $0 { true } else { false } })
    }

    /// The thaw goes from one to the next; freezes come again before and behind it. Nobody is forgotten, and each is told once a thaw that
    /// something may be missing, before it hears anything.
    @Test func theThawReachesEverybody() throws {
        let test = try gate()
        let peers = try (0..<150).map { try test.connect("user\($0)", editor, path: "/ws/doc:1") }
        for peer in peers { _ = try peer.receive(type: "welcome") }
        for round in 1...2 {
            try test.redis.pause()
            try awaitFreeze(test)
            try peers[75].send(text: #"{"type":"publish","resource":"doc:1","data":\#(round)}"#)
            test.redis.resume()
            // Who is let go later than the message was sent has missed it, and was told so.
            for (number, peer) in peers.enumerated() {
                let first = try peer.receiveMessage()
                #expect(first["type"] as? String == "missed", "\(number): \(first)")
            }
            try test.awaitReady()
            try peers[75].send(text: #"{"type":"publish","resource":"doc:1","data":"end \#(round)"}"#)
            for (index, peer) in peers.enumerated() where index != 75 {
                var seen: [String] = []
                while seen.last != "end \(round)" {
                    let message = try peer.receiveMessage()
                    #expect(message["type"] as? String == "message")
                    seen.append("\(message["data"] ?? "")")
                }
                #expect(seen.count <= 2)
            }
            // What waited to be read is read: nothing of it is lost.
            let again = try test.connect("again\(round)", editor, path: "/ws/doc:1")
            _ = try again.receive(type: "welcome")
        }
    }

    @Test func closesEverybodyWhenItLastsTooLong() throws {
        let test = try gate { $0.freezeLimit = .seconds(1) }
        let alice = try test.connect("alice")
        let raw = try test.connect("bob", raw: true)
        _ = try alice.receive(type: "welcome")
        try test.redis.pause()
        defer { test.redis.resume() }
        let closing = try alice.receive(type: "closing")
        #expect(closing["code"] as? Int == 1013)
        #expect(closing["reason"] as? String == "cannot_vouch")
        #expect(closing["reconnect"] as? String == "later")
        #expect((closing["retry_after_ms"] as? Int ?? 0) > 0)
        #expect(try alice.receive() == .close(1013, "cannot_vouch"))
        #expect(try raw.receiveClose() == .close(1013, "cannot_vouch"))
    }

    /// Closing is never held back: a credential that ends during a freeze ends.
    @Test func expiryGoesOn() throws {
        let test = try gate()
        let alice = try test.connect("alice", token: try test.token("alice", life: 6))
        _ = try alice.receive(type: "welcome")
        try test.redis.pause()
        defer { test.redis.resume() }
        try test.wait("the gate is frozen") { test.gate.status.isFrozen }
        #expect(try alice.receive(type: "closing")["code"] as? Int == 4401)
    }

    @Test func bestEffortServesOn() throws {
        let test = try gate { $0.mode = .bestEffort }
        let alice = try test.connect("alice", editor, path: "/ws/doc:1")
        let bob = try test.connect("bob", editor, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        try test.redis.pause()
        defer { test.redis.resume() }
        try test.wait("the gate is frozen") { test.gate.status.isFrozen }
        #expect(!test.gate.status.isReady)
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":1}"#)
        #expect(try bob.receive(type: "message")["data"] as? Int == 1)
        try test.wait("it is said") {
            test.reports.all.contains { if case .froze(serves: true) = $0 { true } else { false } }
        }
    }

    /// A decision that was made while the gate could not see it closes before anything passes.
    @Test func whatHappenedMeanwhileComesFirst() throws {
        let redis = try RedisServer()
        let test = try GateUnderTest(redis: redis) { $0.lease = Self.lease }
        let alice = try test.connect("alice", editor, path: "/ws/doc:1")
        let bob = try test.connect("bob", editor, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        redis.stop()
        try awaitFreeze(test)
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":1}"#)
        try redis.start()
        // Appended through a connection of its own, as likely as not before the gate is back.
        try test.append(.block(Selector(ids: [.user: "bob"]), except: nil, until: nil))
        try test.awaitReady()
        var seen: [String] = []
        while true {
            guard case .text(let text) = try bob.receive() else { break }
            let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
            seen.append(json["type"] as? String ?? "")
        }
        #expect(seen.last == "closing")
    }
}

/// Redis loses what the gates hold: they put it back.
@Suite(.serialized) struct AntiEntropyTests {
    private func block(_ user: Identifier) -> Decision {
        .block(Selector(ids: [.user: user]), except: nil, until: nil)
    }

    @Test func aFlushIsMended() throws {
        let redis = try RedisServer()
        var gates = try ["one", "two"].map { node in
            try GateUnderTest(redis: redis, node: node) { $0.lease = .seconds(3) }
        }
        let old = try gates[0].token("alice")
        try gates[0].append(block("bob"), id: "b1")
        try gates[0].append(.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append)), id: "r1")
        for gate in gates { try gate.wait("it has read both") { gate.gate.status.standing == 2 } }
        let alice = try gates[1].connect("alice", raw: true)
        #expect(alice.status == 101)
        let orders = try redis.ask("HGETALL", "portcullis:standing")
        try redis.ask("FLUSHALL")
        try gates[0].wait("both are put back") { try redis.ask("XLEN", "portcullis:log") == .integer(2) }
        // With the orders that they had; so alice, who signed in since, stays.
        let back = try redis.ask("HGETALL", "portcullis:standing")
        #expect(try order(of: "b1", in: back) == order(of: "b1", in: orders))
        #expect(try order(of: "r1", in: back) == order(of: "r1", in: orders))
        try alice.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try alice.receive() == .pong)
        // Who knows only what Redis has now refuses both.
        gates = []
        let next = try GateUnderTest(redis: redis)
        #expect(try next.connect("bob").status == 403)
        #expect(try next.connect("alice", token: old).status == 401)
        #expect(try redis.ask("XLEN", "portcullis:log") == .integer(2))
    }

    private func order(of key: String, in fields: RESPValue) throws -> Int {
        let parts = try #require(fields.array)
        let index = try #require(parts.firstIndex { $0.text == key })
        let json = try JSONSerialization.jsonObject(with: Data(parts[index + 1].bytes ?? [])) as? [String: Any]
        return try #require(json?["o"] as? Int)
    }

    /// Redis comes back with the data of yesterday.
    @Test func anOldFileIsMended() throws {
        let redis = try RedisServer()
        let test = try GateUnderTest(redis: redis) { $0.lease = .seconds(3) }
        try test.append(block("bob"), id: "b1")
        try test.wait("it has read it") { test.gate.status.standing == 1 }
        redis.stop()
        let files = FileManager.default
        let (now, before) = (redis.directory.appending(path: "appendonlydir"), redis.directory.appending(path: "old"))
        try files.copyItem(at: now, to: before)
        try redis.start()
        try test.awaitReady()
        try test.append(block("carol"), id: "b2")
        try test.wait("it has read it") { test.gate.status.standing == 2 }
        redis.stop()
        try files.removeItem(at: now)
        try files.moveItem(at: before, to: now)
        try redis.start()
        try test.wait("it is put back") { try redis.ask("HEXISTS", "portcullis:standing", "b2") == .integer(1) }
        #expect(try redis.ask("XLEN", "portcullis:log") == .integer(2))
        let next = try GateUnderTest(redis: redis, node: "next")
        for user in ["bob", "carol"] { #expect(try next.connect(user).status == 403) }
    }

    /// Only the log was deleted, and the marks of what was in it were not.
    @Test func aDeletedLogIsMended() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        let select = Selector(ids: [.token: "t1"])
        try test.append(.revoke(.init(select: select, issuedBefore: .never)), id: "r1")
        try test.wait("it has read it") { test.gate.status.standing == 1 }
        try test.redis.ask("DEL", "portcullis:log")
        try test.wait("it is put back") { try test.redis.ask("XLEN", "portcullis:log") == .integer(1) }
    }
}

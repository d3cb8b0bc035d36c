import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Who is in a room, over two gates on one Redis (`resources.presence`).
@Suite(.serialized) struct PresenceTests {
    private let editor = ["permissions": #"{"doc:1":"editor"}"#]
    private let join = #"{"type":"join","resource":"doc:1"}"#

    private func pair(
        _ redis: RedisServer? = nil,
        lease: Milliseconds = .seconds(30)
    ) throws -> (redis: RedisServer, one: GateUnderTest, two: GateUnderTest) {
        let redis = try redis ?? RedisServer()
        func gate(_ node: String) throws -> GateUnderTest {
            try GateUnderTest(redis: redis, node: node) { ($0.presence, $0.lease) = (true, lease) }
        }
        return (redis, try gate("one"), try gate("two"))
    }

    private func size(_ redis: RedisServer, _ key: String = "members") throws -> Int64? {
        try redis.ask("HLEN", "portcullis:\(key):doc:1").integer
    }

    /// A connection that is bound to the room, once everybody can know of it.
    private func bound(_ gate: GateUnderTest, _ user: String, raw: Bool = false) throws -> WebSocketPeer {
        let before = try size(gate.redis) ?? 0
        let peer = try gate.connect(user, editor, path: "/ws/doc:1", raw: raw)
        if !raw { _ = try peer.receive(type: "welcome") }
        try gate.wait("\(user) is in the room") { try size(gate.redis) ?? 0 > before }
        return peer
    }

    private func joined(
        _ gate: GateUnderTest,
        _ user: String,
        _ claims: [String: String]? = nil
    ) throws -> (peer: WebSocketPeer, members: Set<String>?) {
        let peer = try gate.connect(user, claims ?? editor)
        _ = try peer.receive(type: "welcome")
        return (peer, try members(peer))
    }

    /// Who is there, by asking.
    private func members(_ peer: WebSocketPeer) throws -> Set<String>? {
        try peer.send(text: join)
        let answer = try peer.receive(type: "joined")
        let names = answer["members"] as? [String]
        #expect(answer["user"] == nil && Set(names ?? []).count == names?.count ?? 0)
        return names.map(Set.init)
    }

    private func expect(_ peer: WebSocketPeer, _ type: String, _ user: String) throws {
        let message = try peer.receiveMessage()
        #expect(message["type"] as? String == type && message["user"] as? String == user, "\(type) \(user): \(message)")
        #expect(message["resource"] as? String == "doc:1" && message.count == 3)
    }

    /// Whatever the room was told before has come by then.
    private func expectSilence(_ redis: RedisServer, _ peers: WebSocketPeer...) throws {
        try redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"end","text":"end"}"#)
        for peer in peers { try expect(quiet: peer) }
    }

    private func expect(quiet peer: WebSocketPeer) throws {
        guard case .text(let text) = try peer.receive() else { throw GateUnderTest.Vain(description: "no text") }
        #expect(text == "end" || text.contains(#""user":"end""#), "\(text)")
    }

    @Test func usersComeAndGoAcrossGates() throws {
        let (redis, one, two) = try pair()
        let alice = try bound(one, "alice")
        let raw = try bound(two, "raw", raw: true)
        try expect(alice, "joined", "raw")
        let (bob, seen) = try joined(two, "bob")
        #expect(seen == ["alice", "raw", "bob"])
        try expect(alice, "joined", "bob")
        // A second connection of a user, wherever it is, is no second user; and the first that goes is not the last.
        let (again, same) = try joined(one, "bob")
        #expect(same == ["alice", "raw", "bob"])
        let other = try bound(two, "alice")
        #expect(try members(other) == ["alice", "raw", "bob"])
        #expect(try members(alice) == ["alice", "raw", "bob"])
        try again.send(text: #"{"type":"leave","resource":"doc:1"}"#)
        #expect(try again.receiveMessage()["type"] as? String == "left")
        try other.close(code: 1000)
        try one.wait("two of them have gone") { try size(redis) == 3 }
        try expectSilence(redis, alice, bob, raw)
        try bob.send(text: #"{"type":"leave","resource":"doc:1","ref":1}"#)
        #expect(try bob.receiveMessage()["ref"] as? Int == 1)
        try expect(alice, "left", "bob")
        try raw.close(code: 1000)
        try expect(alice, "left", "raw")
        #expect(try members(alice) == ["alice"])
        // And back.
        #expect(try members(bob) == ["alice", "bob"])
        try expect(alice, "joined", "bob")
        try expectSilence(redis, alice, bob)
    }

    /// However a membership ends, the others are told, once.
    @Test func everyWayOutIsTold() throws {
        let (redis, one, two) = try pair()
        let alice = try bound(one, "alice")
        func bob(_ isBound: Bool = false) throws -> WebSocketPeer {
            let peer = isBound ? try bound(two, "bob") : try joined(two, "bob").peer
            try expect(alice, "joined", "bob")
            return peer
        }
        func expectLeft() throws {
            try expect(alice, "left", "bob")
            #expect(try size(redis) == 1 && size(redis, "present") == 1 && size(redis, "hosts") == 1)
        }
        // The client closes; its stream just ends; it breaks a rule.
        for isBound in [false, true] {
            try bob(isBound).close(code: 1000)
            try expectLeft()
            _ = try bob(isBound)
            try expectLeft()
            try bob(isBound).send(raw: [0x83, 0x80, 0, 0, 0, 0])
            try expectLeft()
        }
        // A refresh by which it is lost.
        let peer = try bob()
        try peer.send(text: #"{"type":"refresh","token":"\#(try two.token("bob"))"}"#)
        try expectLeft()
        #expect(try peer.receive(type: "left")["user"] == nil)
        // Cut off; the role taken away, of one that is bound and of one that is not.
        let cut = try bob(true)
        try one.publish(#"{"v":1,"type":"disconnect","select":{"user":"bob"}}"#)
        try expectLeft()
        _ = cut
        for isBound in [false, true] {
            let peer = try bob(isBound)
            try one.append(.permit(.init(user: "bob", resource: "doc:1", role: nil, version: nil)))
            try expectLeft()
            let role = RoleOrder.standard.role(named: "editor")
            try one.append(.permit(.init(user: "bob", resource: "doc:1", role: role, version: nil)))
            _ = peer
        }
        // The gate ends.
        let last = try bob()
        two.gate.stop()
        try expectLeft()
        _ = last
        #expect(try redis.ask("KEYS", "portcullis:inst:*").array?.count == 1)
        try expectSilence(redis, alice)
    }

    /// A slot that is given to the next connection at once: nobody is taken for another.
    @Test func slotsThatAreUsedAgain() throws {
        let (redis, one, two) = try pair()
        let alice = try bound(one, "alice")
        for number in 0..<60 { try two.connect("u\(number)", editor, path: "/ws/doc:1", raw: true).close(code: 1000) }
        var inside: Set<String> = []
        var seen = 0
        while seen < 120 {
            let message = try alice.receiveMessage()
            let user = try #require(message["user"] as? String)
            if message["type"] as? String == "joined" {
                #expect(inside.insert(user).inserted)
            } else {
                #expect(inside.remove(user) != nil)
            }
            seen += 1
        }
        #expect(inside.isEmpty)
        #expect(try size(redis) == 1)
        try expectSilence(redis, alice)
    }

    /// Everybody's list and what was told since are the truth in the end, whatever came first.
    @Test func listsAndNewsFitTogether() throws {
        let (redis, one, two) = try pair()
        let users = (0..<40).map { "u\($0)" }
        let peers = try users.enumerated().map { try ($0 % 2 == 0 ? one : two).connect($1, editor) }
        for peer in peers { _ = try peer.receive(type: "welcome") }
        for peer in peers { try peer.send(text: join) }
        // Some go at once.
        for peer in peers.prefix(10) { try peer.send(text: #"{"type":"leave","resource":"doc:1"}"#) }
        // Thirty are there also on the way.
        let present = Set(users[10...])
        try one.wait("all are through") {
            let names = try redis.ask("HKEYS", "portcullis:present:doc:1").array ?? []
            return Set(names.compactMap { $0.bytes.map { String(decoding: $0, as: UTF8.self) } }) == present
        }
        try one.wait("and known") { try size(redis) == 30 }
        for peer in peers[10...] {
            var known: Set<String>?
            var isOver = false
            while known == nil || !isOver {
                if !isOver, known != nil {
                    try redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"end","text":"end"}"#)
                    isOver = true
                }
                while true {
                    let message = try peer.receiveMessage()
                    guard let user = message["user"] as? String else {
                        known = Set(try #require(message["members"] as? [String]))
                        break
                    }
                    if user == "end" {
                        if isOver { break }
                        continue
                    }
                    if message["type"] as? String == "joined" { known?.insert(user) } else { known?.remove(user) }
                }
            }
            #expect(known == present)
        }
    }

    // MARK: - Gates that are gone, Redis that has lost it

    /// What a gate that crashed has left: dropped when its lease is over, and told once.
    @Test func aGateThatIsGoneIsClearedAway() throws {
        let (redis, one, two) = try pair()
        let alice = try bound(one, "alice")
        let bob = try bound(two, "bob")
        try expect(alice, "joined", "bob")
        let gone = PresenceScript.Gate(node: "gone", instance: 7, lease: .seconds(60))
        for (serial, user) in [(1, "carol"), (2, "carol"), (3, "alice"), (4, "dave")] as [(UInt64, Identifier)] {
            let command = PresenceScript.enter(
                PresenceScript.Room("doc:1", at: LogPosition(milliseconds: 0, sequence: 0)),
                user,
                ConnectionID(instance: gone.instance, serial: serial),
                names: 0,
                quietly: false,
                of: gone,
                keys: Keys()
            )
            #expect(try BlockingConnection(redis.url).ask(command).errorText == nil)
        }
        for peer in [alice, bob] {
            try expect(peer, "joined", "carol")
            try expect(peer, "joined", "dave")
        }
        #expect(try members(alice) == ["alice", "bob", "carol", "dave"])
        try redis.ask("DEL", "portcullis:inst:7")
        for peer in [alice, bob] {
            let left = try [peer.receiveMessage(), peer.receiveMessage()]
            #expect(left.allSatisfy { $0["type"] as? String == "left" })
            #expect(Set(left.compactMap { $0["user"] as? String }) == ["carol", "dave"])
        }
        #expect(try size(redis) == 2)
        try expectSilence(redis, alice, bob)
        #expect(try members(bob) == ["alice", "bob"])
    }

    @Test func anEmptiedRedisLearnsItAgainAndNobodyIsTold() throws {
        let (redis, one, two) = try pair(lease: .seconds(3))
        let alice = try bound(one, "alice")
        let bob = try bound(two, "bob")
        let (again, _) = try joined(two, "bob")
        try expect(alice, "joined", "bob")
        try redis.ask("FLUSHALL")
        try one.wait("all are in the room again") { try size(redis) == 3 }
        #expect(try size(redis, "present") == 2 && size(redis, "hosts") == 2)
        try expectSilence(redis, alice, bob, again)
        #expect(try members(again) == ["alice", "bob"])
        try again.close(code: 1000)
        try bob.close(code: 1000)
        try expect(alice, "left", "bob")
    }

    /// More than are asked at once, and than go in one turn: all of them, in the end.
    @Test func manyAreEnteredAgainAndTakenOut() throws {
        let (redis, one, two) = try pair(lease: .seconds(3))
        let peers = try (0..<600).map { try two.connect("u\($0 % 500)", editor, path: "/ws/doc:1", raw: true) }
        #expect(peers.allSatisfy { $0.status == 101 })
        try two.wait("all are in the room") { try size(redis) == 600 }
        try redis.ask("FLUSHALL")
        try two.wait("all are in the room again") { try size(redis) == 600 }
        #expect(try size(redis, "present") == 500)
        #expect(try redis.ask("HGETALL", "portcullis:hosts:doc:1").array?.last?.text == "600")
        let (alice, seen) = try joined(one, "alice")
        #expect(seen?.count == 501)
        for peer in peers.prefix(400) { try peer.close(code: 1000) }
        // Those of u100 to u399 have gone, and those of u0 to u99 have another connection.
        var gone: Set<String> = []
        while gone.count < 300 { gone.insert(try #require(try alice.receive(type: "left")["user"] as? String)) }
        #expect(gone == Set((100..<400).map { "u\($0)" }))
        two.gate.stop()
        #expect(try size(redis) == 1 && size(redis, "present") == 1 && size(redis, "hosts") == 1)
        while gone.count < 500 { gone.insert(try #require(try alice.receive(type: "left")["user"] as? String)) }
        try expectSilence(redis, alice)
    }

    /// A gate that can't follow Redis: its members are told nothing meanwhile, and `missed` behind it. The others take them for gone, and
    /// for back.
    @Test func aFrozenGateSaysMissed() throws {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one") { ($0.presence, $0.lease) = (true, .seconds(3)) }
        let proxy = try FaultProxy(to: redis.socket)
        let two = try GateUnderTest(redis: redis, node: "two") {
            ($0.presence, $0.lease, $0.redis) = (true, .seconds(3), proxy.url)
        }
        let alice = try bound(one, "alice")
        let dave = try bound(two, "dave")
        try expect(alice, "joined", "dave")
        proxy.set(.stall, .command, .toGate)
        try two.wait("it is frozen") { two.gate.status.isFrozen }
        let (bob, _) = try joined(one, "bob")
        // Its lease is over: whoever is at it counts no more.
        var seen: [String] = []
        while !seen.contains("left dave") {
            let message = try alice.receiveMessage()
            seen.append("\(message["type"] ?? "") \(message["user"] ?? "")")
        }
        #expect(seen.contains("joined bob") && seen.count == 2, "\(seen)")
        proxy.set(.pass)
        try two.awaitReady()
        try expect(alice, "joined", "dave")
        #expect(try dave.receiveMessage()["type"] as? String == "missed")
        #expect(try members(dave) == ["alice", "bob", "dave"])
        _ = bob
    }

    // MARK: - Without it

    @Test func whereItIsOffNobodyIsTold() throws {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one")
        let two = try GateUnderTest(redis: redis, node: "two") { $0.presence = true }
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        _ = try alice.receive(type: "welcome")
        #expect(try joined(one, "bob").members == nil)
        #expect(try members(alice) == nil)
        #expect(try redis.ask("KEYS", "portcullis:members:*") == .array([]))
        // Another gate has it on: its members are told of those who are there.
        let (carol, seen) = try joined(two, "carol")
        #expect(seen == ["carol"])
        let dave = try bound(two, "dave")
        try expect(carol, "joined", "dave")
        try expectSilence(redis, alice, carol, dave)
        #expect(try redis.ask("KEYS", "portcullis:inst:*").array?.count == 1)
    }

    /// An error of Redis costs the list, and nothing else.
    @Test func whatRedisRefusesIsReported() throws {
        let (redis, one, _) = try pair()
        try redis.ask("SET", "portcullis:members:doc:1", "nonsense")
        let (alice, seen) = try joined(one, "alice")
        #expect(seen == nil)
        try one.wait("it is reported") {
            one.reports.all.contains { if case .presenceNotKept = $0 { true } else { false } }
        }
        try expectSilence(redis, alice)
    }

    /// Redis is away while somebody joins: no list, and the others learn it when it is back.
    @Test func whatCouldNotBeAskedIsToldLater() throws {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one") { $0.presence = true }
        let proxy = try FaultProxy(to: redis.socket)
        let two = try GateUnderTest(redis: redis, node: "two") {
            ($0.presence, $0.redis, $0.lease) = (true, proxy.url, .seconds(30))
        }
        let alice = try bound(one, "alice")
        let bob = try bound(two, "bob")
        try expect(alice, "joined", "bob")
        proxy.refuse(true)
        proxy.cut(.command)
        try two.wait("the link is lost") {
            two.reports.all.contains { if case .redisLost = $0 { true } else { false } }
        }
        // A member asks who is there: nobody can say. One that goes meanwhile is told of later.
        #expect(try members(bob) == nil)
        try bob.close(code: 1000)
        while case .text? = try? bob.receive() {}
        proxy.refuse(false)
        try expect(alice, "left", "bob")
        #expect(try size(redis) == 1)
    }
}

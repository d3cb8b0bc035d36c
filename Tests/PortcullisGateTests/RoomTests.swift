import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Rooms across two gates on one Redis.
@Suite(.serialized) struct RoomTests {
    private let editor = ["permissions": #"{"doc:1":"editor"}"#]
    private let viewer = ["permissions": #"{"doc:1":"viewer"}"#]

    private func pair(
        _ change: @escaping (inout GateConfiguration) -> Void = { _ in }
    ) throws -> (redis: RedisServer, one: GateUnderTest, two: GateUnderTest) {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one", change)
        return (redis, one, try GateUnderTest(redis: redis, node: "two", change))
    }

    private func subscribers(_ redis: RedisServer, _ resource: String = "doc:1") throws -> Int64? {
        try redis.ask("PUBSUB", "NUMSUB", "portcullis:room:\(resource)").array?.last?.integer
    }

    private func expectPong(_ peer: WebSocketPeer) throws {
        try peer.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try peer.receive() == .pong)
    }

    /// The next message of a room's channel.
    private func heard(_ connection: BlockingConnection) throws -> [String: Any] {
        let push = try #require(Push(try connection.receive(0)))
        guard case .message(_, let payload) = push else { throw GateUnderTest.Vain(description: "\(push)") }
        return try #require(try JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any])
    }

    @Test func everyKindReachesTheOtherGate() throws {
        let (_, one, two) = try pair()
        let rawOne = try one.connect("raw1", editor, path: "/ws/doc:1", raw: true)
        let rawTwo = try two.connect("raw2", editor, path: "/ws/doc:1", raw: true)
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let bob = try two.connect("bob", editor, path: "/ws/doc:1")
        let connection = try #require(try alice.receive(type: "welcome")["connection"] as? String)
        _ = try bob.receive(type: "welcome")
        // Text and binary of a raw connection.
        try rawOne.send(text: "h\u{E9}llo \"you\"")
        #expect(try rawTwo.receive() == .text("h\u{E9}llo \"you\""))
        for peer in [alice, bob] {
            let message = try peer.receiveMessage()
            #expect(message["type"] as? String == "message")
            #expect(message["resource"] as? String == "doc:1")
            #expect(message["user"] as? String == "raw1")
            #expect(message["data"] as? String == "h\u{E9}llo \"you\"")
        }
        try rawOne.send(raw: [0x82, 0x83, 0, 0, 0, 0, 0, 255, 7])
        #expect(try rawTwo.receive() == .binary([0, 255, 7]))
        for peer in [alice, bob] { #expect(try peer.receiveMessage()["b64"] as? String == "AP8H") }
        // JSON of portcullis.v1, back the other way.
        try bob.send(text: #"{"type":"publish","resource":"doc:1","data":{"a": [1,null]}}"#)
        for raw in [rawOne, rawTwo] { #expect(try raw.receive() == .text(#"{"a": [1,null]}"#)) }
        let message = try alice.receiveMessage()
        #expect(message["user"] as? String == "bob")
        #expect((message["data"] as? [String: [Any]])?["a"]?.count == 2)
        try alice.send(text: #"{"type":"publish","data":7}"#)
        let back = try bob.receiveMessage()
        #expect(back["connection"] as? String == connection)
        #expect(back["data"] as? Int == 7)
        // Nobody hears himself, and nobody anything twice.
        for raw in [rawOne, rawTwo] { #expect(try raw.receive() == .text("7")) }
        for peer in [rawOne, rawTwo, alice, bob] { try expectPong(peer) }
    }

    @Test func aSendersOrderIsKept() throws {
        let (_, one, two) = try pair()
        let reader = try two.connect("reader", viewer, path: "/ws/doc:1", raw: true)
        let writers = try (0..<3).map { try one.connect("w\($0)", editor, path: "/ws/doc:1", raw: true) }
        for number in 0..<200 {
            for (index, writer) in writers.enumerated() { try writer.send(text: "\(index) \(number)") }
        }
        var next = [0, 0, 0]
        for _ in 0..<600 {
            guard case .text(let text) = try reader.receive() else {
                Issue.record("no text")
                return
            }
            let parts = text.split(separator: " ").compactMap { Int($0) }
            #expect(next[parts[0]] == parts[1])
            next[parts[0]] = parts[1] + 1
        }
    }

    @Test func joinsAndLeaves() throws {
        let (redis, one, two) = try pair()
        let alice = try one.connect("alice", ["permissions": #"{"doc:1":"editor","doc:2":"viewer"}"#])
        let bob = try two.connect("bob", editor)
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        for (peer, ref) in [(alice, #""a""#), (bob, "7")] {
            try peer.send(text: #"{"type":"join","resource":"doc:1","ref":\#(ref)}"#)
            let joined = try peer.receiveMessage()
            #expect(joined["type"] as? String == "joined")
            #expect(joined["resource"] as? String == "doc:1")
            #expect(joined["role"] as? String == "editor")
            #expect("\(joined["ref"] ?? "")" == ref.replacing("\"", with: ""))
            // The room is heard by now.
            #expect(try subscribers(redis) ?? 0 >= 1)
        }
        #expect(try subscribers(redis) == 2)
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":1}"#)
        #expect(try bob.receiveMessage()["data"] as? Int == 1)
        // Once more is no mistake.
        try bob.send(text: #"{"type":"join","resource":"doc:1","ref":8}"#)
        #expect(try bob.receiveMessage()["ref"] as? Int == 8)
        // A viewer joins and may not publish; who has no role may not join; what is stored counts more than the claim.
        try alice.send(text: #"{"type":"join","resource":"doc:2"}"#)
        #expect(try alice.receiveMessage()["role"] as? String == "viewer")
        try alice.send(text: #"{"type":"publish","resource":"doc:2","data":1,"ref":"p"}"#)
        let forbidden = try alice.receiveMessage()
        #expect(forbidden["code"] as? String == "forbidden")
        #expect(forbidden["ref"] as? String == "p")
        try bob.send(text: #"{"type":"join","resource":"doc:2","ref":"j"}"#)
        let refused = try bob.receiveMessage()
        #expect(refused["code"] as? String == "forbidden")
        #expect(refused["ref"] as? String == "j")
        try redis.ask("HSET", "portcullis:perm:alice", "doc:3", "1:owner", "doc:4", "nonsense")
        try alice.send(text: #"{"type":"join","resource":"doc:3"}"#)
        #expect(try alice.receiveMessage()["role"] as? String == "owner")
        try alice.send(text: #"{"type":"join","resource":"doc:4","ref":4}"#)
        #expect(try alice.receiveMessage()["code"] as? String == "forbidden")
        // Left; and what is left is heard no more, by the last of them by nobody.
        try bob.send(text: #"{"type":"leave","resource":"doc:1","ref":9}"#)
        let left = try bob.receiveMessage()
        #expect(left["type"] as? String == "left")
        #expect(left["ref"] as? Int == 9)
        try bob.send(text: #"{"type":"publish","resource":"doc:1","data":1,"ref":1}"#)
        #expect(try bob.receiveMessage()["code"] as? String == "not_a_member")
        try bob.send(text: #"{"type":"leave","resource":"doc:1","ref":2}"#)
        #expect(try bob.receiveMessage()["code"] as? String == "not_a_member")
        try one.wait("gate two has left the channel") { try subscribers(redis) == 1 }
        try alice.send(text: #"{"type":"publish","resource":"doc:1","data":2}"#)
        try alice.send(text: #"{"type":"leave","resource":"doc:1"}"#)
        #expect(try alice.receiveMessage()["type"] as? String == "left")
        try one.wait("nobody hears the channel") { try subscribers(redis) == 0 }
        try expectPong(bob)
        // And again.
        try bob.send(text: #"{"type":"join","resource":"doc:1"}"#)
        #expect(try bob.receiveMessage()["type"] as? String == "joined")
        #expect(try subscribers(redis) == 1)
        // A connection that goes leaves all it was in.
        try bob.close(code: 1000)
        try one.wait("nobody hears the channel") { try subscribers(redis) == 0 }
    }

    @Test func membershipsAreBounded() throws {
        let test = try GateUnderTest { $0.defaultRole = RoleOrder.standard.viewer }
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        for number in 0..<257 { try alice.send(text: #"{"type":"join","resource":"r\#(number)","ref":\#(number)}"#) }
        var joined = Set<Int>()
        for _ in 0..<257 {
            let message = try alice.receiveMessage()
            let ref = try #require(message["ref"] as? Int)
            if message["type"] as? String == "joined" {
                joined.insert(ref)
            } else {
                #expect(message["code"] as? String == "unavailable")
                #expect(ref == 256)
            }
        }
        #expect(joined.count == 256)
        try alice.close(code: 1000)
        try test.wait("all channels are left") {
            try test.redis.ask("PUBSUB", "CHANNELS", "portcullis:room:*") == .array([])
        }
    }

    /// A `permit` that takes the role away reaches the joined connection; it leaves, is told, and hears nothing more.
    @Test func aPermissionThatIsTakenAwayEndsTheMembership() throws {
        let (redis, one, two) = try pair()
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let bob = try two.connect("bob", viewer)
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        try bob.send(text: #"{"type":"join","resource":"doc:1"}"#)
        _ = try bob.receive(type: "joined")
        try one.append(.permit(.init(user: "bob", resource: "doc:1", role: nil, version: nil)))
        #expect(try bob.receiveMessage()["type"] as? String == "permission")
        #expect(try bob.receiveMessage()["type"] as? String == "left")
        try one.wait("gate two has left the channel") { try subscribers(redis) == 1 }
        try bob.send(text: #"{"type":"join","resource":"doc:1"}"#)
        #expect(try bob.receiveMessage()["code"] as? String == "forbidden")
        try alice.send(text: #"{"type":"publish","data":1}"#)
        try expectPong(bob)
    }

    @Test func aResourceThatNeedsAFreshSignInIsNotJoinedWithoutOne() throws {
        let test = try GateUnderTest {
            $0.stepUp = StepUp([.init(ResourcePattern("doc:*"), within: .seconds(900))])
        }
        let now = Int(Date().timeIntervalSince1970)
        for (time, type) in [("\(now - 60)", "joined"), ("\(now - 1000)", "error")] {
            let claims = editor.merging(["auth_time": time]) { $1 }
            let alice = try test.connect("alice", claims)
            _ = try alice.receive(type: "welcome")
            try alice.send(text: #"{"type":"join","resource":"doc:1"}"#)
            #expect(try alice.receiveMessage()["type"] as? String == type)
        }
    }

    @Test func aBackendSpeaksAndListens() throws {
        let (redis, one, two) = try pair()
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let raw = try two.connect("raw", viewer, path: "/ws/doc:1", raw: true)
        _ = try alice.receive(type: "welcome")
        let listener = try BlockingConnection(redis.url)
        _ = try listener.ask(Command("SUBSCRIBE", "portcullis:room:doc:1"))
        #expect(
            try redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"billing","data":{"paid":true}}"#)
                == .integer(3)
        )
        let message = try alice.receiveMessage()
        #expect(message["user"] as? String == "billing")
        #expect(message["connection"] == nil)
        #expect((message["data"] as? [String: Bool]) == ["paid": true])
        #expect(try raw.receive() == .text(#"{"paid":true}"#))
        #expect(try heard(listener)["user"] as? String == "billing")
        try redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"billing","b64":"AP8="}"#)
        #expect(try alice.receiveMessage()["b64"] as? String == "AP8=")
        #expect(try raw.receive() == .binary([0, 255]))
        _ = try heard(listener)
        try alice.send(text: #"{"type":"publish","data":[1]}"#)
        let published = try heard(listener)
        #expect(published["v"] as? Int == 1)
        #expect(published["node"] as? String == "one")
        #expect(published["user"] as? String == "alice")
        #expect((published["connection"] as? String)?.count == 24)
        #expect(published["data"] as? [Int] == [1])
        #expect((published["at"] as? String)?.contains("-") == true)
    }

    @Test func whatCannotBeReadStopsNothing() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", viewer, path: "/ws/doc:1")
        _ = try alice.receive(type: "welcome")
        let future = #"{"v":1,"user":"b","text":"x","at":"99999999999999-0"}"#
        let odd = ["", "x", "{", "[]", #"{"v":2}"#, #"{"v":1,"text":"x"}"#, #"{"v":1,"user":"b","b64":"!"}"#, future]
        for payload in odd + [#"{"v":1,"kind":"applause"}"#, #"{"v":1,"user":"b","text":"good"}"#] {
            try test.redis.ask("PUBLISH", "portcullis:room:doc:1", payload)
        }
        #expect(try alice.receiveMessage()["data"] as? String == "good")
        try test.wait("all that were refused are reported") {
            let counts = test.reports.all.map { if case .roomMessagesRejected(let count, _) = $0 { count } else { 0 } }
            return counts.reduce(0, +) == odd.count
        }
    }

    /// Gate two does not hear of the decision on the channel; the message of gate one says that it was made before.
    @Test func whatWasSaidAfterAPermissionWasTakenAwayIsNotDelivered() throws {
        let redis = try RedisServer()
        let one = try GateUnderTest(redis: redis, node: "one")
        let proxy = try FaultProxy(to: redis.socket)
        let two = try GateUnderTest(redis: redis, node: "two") {
            $0.redis = proxy.url
            // Its next reading of the log is far away.
            $0.lease = .seconds(30)
        }
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let here = try one.connect("bob", viewer, path: "/ws/doc:1", raw: true)
        let there = try two.connect("bob", viewer, path: "/ws/doc:1", raw: true)
        let carol = try two.connect("carol", viewer, path: "/ws/doc:1", raw: true)
        _ = try alice.receive(type: "welcome")
        proxy.set(.drop([.events]), .subscription, .toGate)
        try one.append(.permit(.init(user: "bob", resource: "doc:1", role: nil, version: nil)))
        #expect(try here.receiveClose() == .close(4403, "permission_revoked"))
        for number in 0..<3 { try alice.send(text: #"{"type":"publish","data":\#(number)}"#) }
        #expect(try there.receive() == .close(4403, "permission_revoked"))
        // The others get it, in order, once the log is read.
        for number in 0..<3 { #expect(try carol.receive() == .text("\(number)")) }
        #expect(proxy.counts.dropped >= 1)
    }

    /// The log cannot be read up to the sender's place: what was said is given up, and the members are told.
    @Test func whatWaitsTooLongIsMissed() throws {
        let test = try GateUnderTest { $0.lease = .seconds(3) }
        let alice = try test.connect("alice", viewer, path: "/ws/doc:1")
        _ = try alice.receive(type: "welcome")
        let soon = Int(Date().timeIntervalSince1970 * 1000) + 30_000
        let message = #"{"v":1,"user":"b","text":"x","at":"\#(soon)-0"}"#
        try test.redis.ask("PUBLISH", "portcullis:room:doc:1", message)
        #expect(try alice.receiveMessage()["type"] as? String == "missed")
        try test.redis.ask("PUBLISH", "portcullis:room:doc:1", #"{"v":1,"user":"b","text":"y"}"#)
        #expect(try alice.receiveMessage()["data"] as? String == "y")
    }

    @Test func aRenewedSubscriptionSaysMissedAndHearsAgain() throws {
        let (redis, one, two) = try pair()
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let bob = try two.connect("bob", editor, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        for round in 0..<3 {
            _ = try redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
            for peer in [alice, bob] {
                let missed = try peer.receiveMessage()
                #expect(missed["type"] as? String == "missed")
                #expect(missed["resource"] as? String == "doc:1")
            }
            try alice.send(text: #"{"type":"publish","data":\#(round)}"#)
            #expect(try bob.receiveMessage()["data"] as? Int == round)
            try bob.send(text: #"{"type":"publish","data":\#(round)}"#)
            #expect(try alice.receiveMessage()["data"] as? Int == round)
        }
    }

    /// What could not be published is not lost in silence: the members at the other gate are told when the link is back.
    @Test func whatDidNotReachRedisIsMissedElsewhere() throws {
        let redis = try RedisServer()
        let proxy = try FaultProxy(to: redis.socket)
        let one = try GateUnderTest(redis: redis, node: "one") { $0.redis = proxy.url }
        let two = try GateUnderTest(redis: redis, node: "two")
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let here = try one.connect("here", viewer, path: "/ws/doc:1", raw: true)
        let bob = try two.connect("bob", viewer, path: "/ws/doc:1")
        for peer in [alice, bob] { _ = try peer.receive(type: "welcome") }
        proxy.refuse(true)
        proxy.cut(.command)
        try one.wait("the link is lost") {
            one.reports.all.contains { if case .redisLost = $0 { true } else { false } }
        }
        try alice.send(text: #"{"type":"publish","data":"lost"}"#)
        #expect(try here.receive() == .text(#""lost""#))
        proxy.refuse(false)
        #expect(try bob.receiveMessage()["type"] as? String == "missed")
        try alice.send(text: #"{"type":"publish","data":"found"}"#)
        #expect(try bob.receiveMessage()["data"] as? String == "found")
    }

    /// Where a message can't come back the gate's own members have it at once, and nobody twice.
    @Test func whatCannotComeBackIsHeardOnce() throws {
        let redis = try RedisServer()
        let proxy = try FaultProxy(to: redis.socket)
        let one = try GateUnderTest(redis: redis, node: "one") { $0.redis = proxy.url }
        let two = try GateUnderTest(redis: redis, node: "two")
        let alice = try one.connect("alice", editor, path: "/ws/doc:1")
        let here = try one.connect("here", viewer, path: "/ws/doc:1", raw: true)
        let there = try two.connect("there", viewer, path: "/ws/doc:1", raw: true)
        proxy.refuse(true)
        proxy.cut(.subscription)
        try one.wait("the subscription is lost") { try subscribers(redis) == 1 }
        try one.wait("the gate knows") {
            one.reports.all.contains { if case .redisLost = $0 { true } else { false } }
        }
        try alice.send(text: #"{"type":"publish","data":1}"#)
        for peer in [here, there] { #expect(try peer.receive() == .text("1")) }
        proxy.refuse(false)
        try one.wait("the room is heard again") { try subscribers(redis) == 2 }
        for number in 2..<50 {
            try alice.send(text: #"{"type":"publish","data":\#(number)}"#)
            for peer in [here, there] { #expect(try peer.receive() == .text("\(number)")) }
        }
    }

    @Test func aSlowMemberDoesNotSlowTheOthers() throws {
        // Twenty megabytes at once, and no ping in between.
        let (_, one, two) = try pair {
            $0.sendQueue = 64 << 10
            $0.rates = ConnectionRates(messages: 0, bytes: 0, control: 0)
            $0.heartbeat = .seconds(600)
        }
        let deaf = try two.connect("deaf", viewer, path: "/ws/doc:1", raw: true)
        let alert = try two.connect("alert", viewer, path: "/ws/doc:1", raw: true)
        let writer = try one.connect("writer", editor, path: "/ws/doc:1", raw: true)
        let text = String(repeating: "x", count: 100_000)
        for _ in 0..<200 {
            try writer.send(text: text)
            #expect(try alert.receive() == .text(text))
        }
        var received = 0
        while case .text? = try? deaf.receive() { received += 1 }
        #expect(received < 200)
    }

    /// The permit has no place in the log when the message comes: it is only being adopted.
    @Test func nothingIsHeardBehindAPermitThatWasOnlyPublished() throws {
        let (redis, one, two) = try pair()
        for number in 0..<40 {
            let bob = try (number % 2 == 0 ? one : two).connect("bob", editor)
            _ = try bob.receive(type: "welcome")
            try bob.send(text: #"{"type":"join","resource":"doc:1"}"#)
            _ = try bob.receive(type: "joined")
            let witness = try two.connect("witness", viewer, path: "/ws/doc:1", raw: true)
            func permit(_ id: String, _ role: String) -> String {
                #"{"v":1,"event":"\#(id)-\#(number)","type":"permit","user":"bob","resource":"doc:1","role":\#(role)}"#
            }
            // In one step, so that nothing comes between.
            let script = "redis.call('PUBLISH', KEYS[1], ARGV[1]) return redis.call('PUBLISH', KEYS[2], ARGV[2])"
            let keys = ["portcullis:events", "portcullis:room:doc:1"]
            let message = #"{"v":1,"user":"u","data":"secret"}"#
            let words = ["EVAL", script, "2"] + keys + [permit("a", "null"), message]
            let step = Command(words.map { Array($0.utf8) })
            // The second time it changes nothing, and holds nothing up.
            for isFirst in [true, false] {
                _ = try BlockingConnection(redis.url).ask(step)
                #expect(try witness.receive() == .text(#""secret""#))
                if isFirst {
                    #expect(try bob.receiveMessage()["type"] as? String == "permission")
                    #expect(try bob.receiveMessage()["type"] as? String == "left")
                }
                try expectPong(bob)
            }
            try redis.ask("PUBLISH", keys[0], permit("b", #""editor""#))
            #expect(try bob.receiveMessage()["to"] as? String == "editor")
        }
    }

    /// Without Redis a bound handshake is refused, not kept.
    @Test func aRoomThatCannotBeHeardAdmitsNobody() throws {
        let redis = try RedisServer()
        let proxy = try FaultProxy(to: redis.socket)
        let test = try GateUnderTest(redis: redis) { configuration in
            configuration.redis = proxy.url
            configuration.handshake = .seconds(1)
            configuration.lease = .seconds(60)
        }
        // What acknowledges the subscription does not come.
        proxy.set(.stall, .subscription, .toGate)
        let refused = try test.connect("alice", viewer, path: "/ws/doc:1", raw: true)
        #expect(refused.status == 503)
        #expect(refused.body.contains("store_unavailable"))
        proxy.set(.pass)
        try test.wait("the room is heard in time") {
            try test.connect("alice", viewer, path: "/ws/doc:1", raw: true).status == 101
        }
    }
}

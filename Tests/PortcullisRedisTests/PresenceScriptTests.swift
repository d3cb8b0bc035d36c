import PortcullisCore
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Who is in a room, over several gates.
@Suite(.serialized) struct PresenceScriptTests {
    private let server: RedisServer
    private let connection: BlockingConnection
    private let listener: BlockingConnection
    private let keys = Keys(prefix: "t:")
    private let first = PresenceScript.Gate(node: "one", instance: 0xA1, lease: .seconds(60))
    private let second = PresenceScript.Gate(node: "tw\"o", instance: 0xB2, lease: .seconds(60))
    private let room = PresenceScript.Room("doc:1", at: LogPosition(milliseconds: 17, sequence: 3))

    init() throws {
        server = try RedisServer()
        connection = try BlockingConnection(server.url)
        listener = try BlockingConnection(server.url)
        _ = try listener.ask(Command("SUBSCRIBE", "t:room:doc:1"))
    }

    private func name(_ gate: PresenceScript.Gate, _ serial: UInt64) -> ConnectionID {
        ConnectionID(instance: gate.instance, serial: serial)
    }

    @discardableResult
    private func enter(
        _ gate: PresenceScript.Gate,
        _ serial: UInt64,
        _ user: Identifier,
        names: Int = PresenceScript.mostNames,
        quietly: Bool = false
    ) throws -> Set<Identifier> {
        let connection = name(gate, serial)
        let command = PresenceScript.enter(
            room,
            user,
            connection,
            names: names,
            quietly: quietly,
            of: gate,
            keys: keys
        )
        let answer = try self.connection.ask(command)
        let told = try #require(PresenceScript.names(answer), "\(answer)")
        #expect(Set(told).count == told.count)
        return Set(told)
    }

    private func leave(_ gate: PresenceScript.Gate, _ serial: UInt64, _ user: Identifier) throws {
        let answer = try connection.ask(PresenceScript.leave(room, user, name(gate, serial), of: gate, keys: keys))
        #expect(answer.text == "left")
    }

    private func prune(_ gate: PresenceScript.Gate) throws {
        #expect(try connection.ask(PresenceScript.prune(room, of: gate, keys: keys)).text == "pruned")
    }

    private func end(_ gate: PresenceScript.Gate) throws {
        _ = try connection.ask(AdmissionScript.end(gate, keys: keys))
    }

    @discardableResult
    private func ask(_ words: String...) throws -> RESPValue {
        try connection.ask(Command(words.map { Array($0.utf8) }))
    }

    /// What the room is told next, as a gate reads it.
    private func heard() throws -> RoomMessage? {
        guard case .message(_, let payload)? = Push(try listener.receive(0)) else { return nil }
        var json = StrictJSON(maximumDepth: 32)
        return try RoomMessage.decode(payload, limit: 1 << 20, &json)
    }

    private func told(
        _ content: RoomMessage.Content,
        _ user: Identifier,
        _ connection: ConnectionID,
        by gate: PresenceScript.Gate
    ) -> RoomMessage {
        RoomMessage(node: Identifier(gate.node), connection: connection, user: user, at: room.at, content)
    }

    /// Nothing was said before this.
    private func expectSilence() throws {
        try ask("PUBLISH", "t:room:doc:1", #"{"v":1,"user":"end","text":""}"#)
        #expect(try heard()?.user == "end")
    }

    private func counts() throws -> [Int64] {
        try ["members", "present", "hosts"].map { try ask("HLEN", "t:\($0):doc:1").integer ?? -1 }
    }

    @Test func usersComeAndGoOnceHoweverManyConnectionsTheyHave() throws {
        #expect(try enter(first, 1, "alice") == ["alice"])
        #expect(try heard() == told(.joined, "alice", name(first, 1), by: first))
        #expect(try enter(second, 1, "alice") == ["alice"])
        #expect(try enter(second, 2, "bob \"é\"/") == ["alice", "bob \"é\"/"])
        #expect(try heard() == told(.joined, "bob \"é\"/", name(second, 2), by: second))
        // Again is no second time.
        #expect(try enter(first, 1, "alice") == ["alice", "bob \"é\"/"])
        #expect(try ask("HGET", "t:members:doc:1", "a1/\(name(first, 1))").text == "alice")
        #expect(try ask("HGET", "t:present:doc:1", "alice").text == "2")
        #expect(try counts() == [3, 2, 2])
        try leave(first, 1, "alice")
        try leave(second, 2, "bob \"é\"/")
        #expect(try heard() == told(.left, "bob \"é\"/", name(second, 2), by: second))
        try leave(second, 1, "alice")
        #expect(try heard() == told(.left, "alice", name(second, 1), by: second))
        #expect(try counts() == [0, 0, 0])
        try expectSilence()
    }

    @Test func aGateWithoutALeaseIsInNoRoom() throws {
        for serial in 1...3 { try enter(first, UInt64(serial), Identifier("a\(serial % 2)")) }
        for _ in 1...2 { _ = try heard() }
        try enter(second, 1, "a1")
        try expectSilence()
        try end(first)
        // `a1` has a connection elsewhere.
        #expect(try enter(second, 2, "bob") == ["a1", "bob"])
        #expect(try heard() == told(.left, "a0", name(first, 2), by: second))
        #expect(try heard() == told(.joined, "bob", name(second, 2), by: second))
        #expect(try counts() == [2, 2, 1])
        // Once, and by whoever looks first; nobody drops what it holds itself.
        try enter(first, 9, "carol")
        #expect(try heard()?.user == "carol")
        try end(first)
        try end(second)
        try prune(second)
        #expect(try heard() == told(.left, "carol", name(first, 9), by: second))
        try prune(second)
        try prune(first)
        try expectSilence()
        #expect(try counts() == [2, 2, 1])
        #expect(try ask("GET", "t:inst:b2").text == "tw\"o")
        for key in ["members", "present", "hosts"] {
            #expect((86_300_000...86_400_000).contains(try ask("PTTL", "t:\(key):doc:1").integer ?? 0))
        }
        #expect((1...120_000).contains(try ask("PTTL", "t:inst:b2").integer ?? 0))
    }

    @Test func whatRedisHasLostIsEnteredAgainQuietly() throws {
        try enter(first, 1, "alice")
        try enter(first, 2, "bob")
        for _ in 1...2 { _ = try heard() }
        try ask("FLUSHALL")
        // Gone before it was entered again: somebody may believe that it is there.
        try leave(first, 2, "bob")
        #expect(try heard() == told(.left, "bob", name(first, 2), by: first))
        for _ in 1...2 { #expect(try enter(first, 1, "alice", names: 0, quietly: true) == []) }
        try expectSilence()
        #expect(try enter(second, 1, "carol") == ["alice", "carol"])
        // Of three keys one was lost: none of them says what is not so.
        try ask("DEL", "t:members:doc:1")
        _ = try heard()
        #expect(try enter(second, 2, "dave") == ["dave"])
    }

    @Test func namesAreBounded() throws {
        for serial in 1...1300 {
            let user = Identifier("user\(serial)")
            #expect(try enter(first, UInt64(serial), user, names: 0, quietly: true) == [])
        }
        #expect(try enter(second, 1, "user1").count == PresenceScript.mostNames)
        #expect(try enter(second, 1, "user1", names: 5000).count == PresenceScript.mostNames)
        #expect(try enter(second, 1, "user1", names: 3).count == 3)
    }

    @Test func anErrorIsNoList() throws {
        try ask("SET", "t:members:doc:1", "nonsense")
        let command = PresenceScript.enter(
            room,
            "alice",
            name(first, 1),
            names: 9,
            quietly: false,
            of: first,
            keys: keys
        )
        let answer = try connection.ask(command)
        #expect(answer.errorText?.contains("WRONGTYPE") == true)
        #expect(PresenceScript.names(answer) == nil)
    }

    /// Redis does nothing else while a script runs: of a large gate that is gone a slice goes at a time, and each is told once.
    @Test func aLargeGateThatIsGoneGoesInSlices() throws {
        for serial in 1...300 as ClosedRange<UInt64> {
            try enter(first, serial, Identifier("u\(serial)"), names: 0, quietly: true)
        }
        try end(first)
        for left in [44, 0, 0] as [Int64] {
            try prune(second)
            #expect(try ask("HLEN", "t:members:doc:1").integer == left)
        }
        var gone: Set<Identifier> = []
        for _ in 0..<300 {
            let message = try #require(try heard())
            #expect(message.content == .left)
            gone.insert(try #require(message.user))
        }
        #expect(gone.count == 300)
        #expect(try ask("EXISTS", "t:present:doc:1", "t:hosts:doc:1").integer == 0)
    }
}

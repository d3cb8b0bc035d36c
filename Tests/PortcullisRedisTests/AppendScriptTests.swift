import PortcullisCore
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// A Redis with a log, and somebody who listens on its channel.
struct LogUnderTest {
    let server: RedisServer
    let keys = Keys(prefix: "t:")
    private let connection: BlockingConnection
    private let listener: BlockingConnection

    init() throws {
        server = try RedisServer()
        connection = try BlockingConnection(server.url)
        listener = try BlockingConnection(server.url)
        let answer = try listener.ask(Command("SUBSCRIBE", "t:events"))
        try #require(Push(answer) == .subscribed(channel: Array("t:events".utf8)))
    }

    func ask(_ words: String...) throws -> RESPValue {
        try connection.ask(Command(words.map { Array($0.utf8) }))
    }

    @discardableResult
    func append(
        _ json: String,
        as id: Identifier,
        order: Int64? = nil,
        policy: AppendScript.Policy = .init()
    ) throws -> AppendScript.Answer {
        let event = try EventCodec.decode(Array(json.utf8), roles: .standard, mayLackID: true)
        let command = AppendScript.command(
            event,
            json: Array(json.utf8),
            id: id,
            order: order,
            epoch: "epoch-\(id)",
            keys: keys,
            policy: policy
        )
        return AppendScript.Answer(try connection.ask(command))
    }

    /// Calls the script as a program in another language might.
    func raw(keys names: [String], _ arguments: [String]) throws -> RESPValue {
        let words = ["EVAL", AppendScript.text, String(names.count)] + names + arguments
        return try connection.ask(Command(words.map { Array($0.utf8) }))
    }

    /// The next message on the channel, as a gate reads it.
    func heard() throws -> LogEntry {
        guard case .message(_, let payload) = Push(try listener.receive(0)),
            case .logged(let entry) = try ChannelMessage.decode(payload, roles: .standard)
        else { throw BlockingConnection.Failure(description: "something else was said") }
        return entry
    }

    /// The fields of all entries of the log.
    func entries() throws -> [[String]] {
        try (ask("XRANGE", keys.log, "-", "+").array ?? []).map { entry in
            (entry.array?.last?.array ?? []).compactMap(\.text)
        }
    }

    /// All keys of the database, in order.
    func names() throws -> [String] {
        try (ask("KEYS", "*").array ?? []).compactMap(\.text).sorted()
    }
}

let hashOfAToken = String(repeating: "0123456789abcdef", count: 4)

func revokeEvent(_ select: String, _ more: String = "") -> String {
    #"{"v":1,"type":"revoke","select":{\#(select)}\#(more)}"#
}

extension AppendScript.Answer {
    var order: Int64? {
        if case .appended(_, let order, _) = self { order } else { nil }
    }

    var position: String? {
        switch self {
        case .appended(let position, _, _), .repeated(let position, _): position
        default: nil
        }
    }
}

@Suite struct AppendScriptTests {
    static let alice = revokeEvent(#""user":"alice""#)

    @Test func appends() throws {
        let log = try LogUnderTest()
        let answer = try log.append(Self.alice, as: "e1")
        guard case .appended(let position, let order, let failure) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(failure == nil)
        #expect(try log.entries() == [["e", Self.alice, "i", "e1", "o", String(order)]])
        #expect(try log.ask("GET", log.keys.order).text == String(order))
        #expect(try log.ask("GET", log.keys.epoch).text == "epoch-e1")
        #expect(try log.ask("GET", "t:seen:e1").text == "\(position) \(order)")
        #expect(try log.ask("HGET", log.keys.standing, "e1").text == #"{"o":\#(order),"event":\#(Self.alice)}"#)
        #expect(try log.names() == ["t:epoch", "t:log", "t:order", "t:seen:e1", "t:standing"])
    }

    /// The message is the entry, to the byte; its `prev` chains it to the one before.
    @Test func says() throws {
        let log = try LogUnderTest()
        var previous = "0-0"
        // Ids and values that need care in JSON, and an event that stands verbatim.
        let events: [(Identifier, String)] = [
            ("e1", Self.alice), ("a\"b\\c/\u{E9}\u{1F600}", revokeEvent(#""user":"x\"\\\/\u00e9""#)),
            ("h:00ff", #"  { "type" : "revoke" , "v":1, "select": {"all": true}, "big": 12345678901234567890 } "#),
        ]
        for (id, json) in events {
            let answer = try log.append(json, as: id)
            let entry = try log.heard()
            #expect(entry.position.description == answer.position)
            #expect(entry.previous?.description == previous)
            #expect(entry.key == id)
            #expect(entry.order == answer.order)
            #expect(entry.version == nil)
            #expect(try entry.event == EventCodec.decode(Array(json.utf8), roles: .standard))
            let standing = try #require(try log.connectionBytes(log.keys.standing, id))
            let held = try StandingEntry.decode(standing, roles: .standard)
            #expect(held.order == answer.order)
            #expect(held.event == entry.event)
            previous = entry.position.description
        }
    }

    @Test func aRepeatChangesNothing() throws {
        let log = try LogUnderTest()
        let first = try log.append(Self.alice, as: "e1")
        _ = try log.heard()
        let before = try log.ask("GET", log.keys.order)
        let again = try log.append(revokeEvent(#""user":"bob""#), as: "e1")
        #expect(again == .repeated(position: try #require(first.position), order: try #require(first.order)))
        #expect(try log.entries().count == 1)
        #expect(try log.ask("GET", log.keys.order) == before)
        // Nothing was said about it: the next message is that of the next event.
        try log.append(Self.alice, as: "e2")
        #expect(try log.heard().key == "e2")
        #expect(try log.ask("GET", log.keys.epoch).text == "epoch-e1")
    }

    @Test func ordersOnlyGrow() throws {
        let log = try LogUnderTest()
        var last: Int64 = 0
        for number in 0..<50 {
            let order = try #require(try log.append(Self.alice, as: Identifier("e\(number)")).order)
            #expect(order > last)
            last = order
        }
        // Redis' clock has stepped back, so to speak: the orders go on from where they were.
        last += 1_800_000
        _ = try log.ask("SET", log.keys.order, "\(last)")
        #expect(try log.append(Self.alice, as: "ahead").order == last + 1)
        // By far more than that: ids of the log do not step back either.
        let redisTime = last
        last += 86_400_000
        _ = try log.ask("XADD", log.keys.log, "\(last)-0", "i", "x")
        _ = try log.ask("SET", log.keys.order, "\(last)")
        #expect(try log.append(Self.alice, as: "a day").order == last + 1)
        // Nothing but a hand wrote that: it would have every decision cover what is issued for years.
        _ = try log.ask("DEL", log.keys.log)
        _ = try log.ask("SET", log.keys.order, "99999999999999")
        #expect(try log.append(Self.alice, as: "by hand").order ?? .max < redisTime)
    }

    /// What a gate puts back keeps its order for life, and those that are given later come behind it.
    @Test func aCopyKeepsItsOrder() throws {
        let log = try LogUnderTest()
        #expect(try log.append(Self.alice, as: "old", order: 12).order == 12)
        #expect(try log.heard().order == 12)
        #expect(try log.ask("HGET", log.keys.standing, "old").text?.hasPrefix(#"{"o":12,"#) == true)
        let order = try #require(try log.append(Self.alice, as: "new").order)
        #expect(order > 1_600_000_000_000)
        let ahead = order + 1_800_000
        #expect(try log.append(Self.alice, as: "ahead", order: ahead).order == ahead)
        #expect(try log.append(Self.alice, as: "older", order: 13).order == 13)
        #expect(try log.append(Self.alice, as: "next").order == ahead + 1)
        for impossible in [-1, ahead + 3_600_000, 1 << 53, .max] {
            guard case .refused(let why) = try log.append(Self.alice, as: "never", order: impossible) else {
                Issue.record("\(impossible) was taken")
                continue
            }
            #expect(why.hasPrefix("BADEVENT"))
        }
        #expect(try log.append(Self.alice, as: "and next").order == ahead + 2)
        #expect(try log.append(Self.alice, as: "old", order: 12).order == nil)
    }

    @Test func permitsCountTheirVersions() throws {
        let log = try LogUnderTest()
        func permit(_ members: String, as id: Identifier) throws -> AppendScript.Answer {
            try log.append(#"{"v":1,"type":"permit","user":"alice","resource":"doc:1",\#(members)}"#, as: id)
        }
        func stored() throws -> String? {
            try log.ask("HGET", "t:perm:alice", "doc:1").text
        }
        #expect(try permit(#""role":"editor""#, as: "p1").order != nil)
        #expect(try log.heard().version == 1)
        #expect(try stored() == "1:editor")
        #expect(try permit(#""role":"viewer","version":7"#, as: "p2").order != nil)
        #expect(try log.heard().version == 7)
        #expect(try permit(#""role":null"#, as: "p3").order != nil)
        #expect(try log.heard().version == 8)
        // The removal stays, so that nothing older comes back.
        #expect(try stored() == "8:")
        for version in [1, 7, 8] {
            #expect(
                try permit(#""role":"owner","version":\#(version)"#, as: Identifier("late\(version)"))
                    == .stale(version: "8")
            )
        }
        #expect(try stored() == "8:")
        #expect(try log.entries().count == 3)
        #expect(try log.entries().last?.suffix(2) == ["version", "8"])
        #expect(try log.ask("EXISTS", "t:seen:late8") == .integer(0))
        #expect(try permit(#""role":"owner","version":9"#, as: "p4").order != nil)
        #expect(try stored() == "9:owner")
        #expect(try log.ask("EXISTS", log.keys.standing) == .integer(0))
    }

    /// A stale permit on an empty Redis leaves it empty.
    @Test func aStalePermitWritesNothing() throws {
        let log = try LogUnderTest()
        _ = try log.ask("HSET", "t:perm:alice", "doc:1", "5:viewer")
        let json = #"{"v":1,"type":"permit","user":"alice","resource":"doc:1","role":"owner","version":5}"#
        #expect(try log.append(json, as: "p1") == .stale(version: "5"))
        #expect(try log.names() == ["t:perm:alice"])
    }

    @Test(arguments: [
        (revokeEvent(#""user":"a""#), true), (revokeEvent(#""all":true"#), true),
        (revokeEvent(#""session":"s""#), true),
        (revokeEvent(#""key":"k""#), true), (revokeEvent(#""token":"t""#), false),
        (revokeEvent(#""token_hash":"\#(hashOfAToken)""#), false), (revokeEvent(#""user":"a","token":"t""#), false),
        (#"{"v":1,"type":"block","select":{"ip":"10.0.0.0/8"}}"#, true),
        (#"{"v":1,"type":"unblock","select":{"user":"a"}}"#, true),
        (#"{"v":1,"type":"reauthenticate","select":{"user":"a"},"within_s":9}"#, true),
        (#"{"v":1,"type":"reauthenticate","select":{"token":"t"},"within_s":9}"#, false),
        (#"{"v":1,"type":"permit","user":"a","resource":"r","role":null}"#, false),
        (#"{"v":1,"type":"lift","decision":"e0"}"#, false),
    ])
    func onlyWhatOutlivesTheLogStandsBesideIt(_ json: String, _ outlives: Bool) throws {
        let log = try LogUnderTest()
        #expect(try log.append(json, as: "e1").order != nil)
        #expect(try log.ask("HEXISTS", log.keys.standing, "e1") == .integer(outlives ? 1 : 0))
    }

    /// A lift is forgotten with the log; what it lifted must not be left behind.
    @Test func aLiftTakesTheDecisionOut() throws {
        let log = try LogUnderTest()
        try log.append(#"{"v":1,"type":"block","select":{"user":"a"}}"#, as: "b1")
        try log.append(#"{"v":1,"type":"block","select":{"user":"b"}}"#, as: "b2")
        try log.append(#"{"v":1,"type":"lift","decision":"b1"}"#, as: "l1")
        #expect(try log.ask("HKEYS", log.keys.standing) == .array([.bytes(Array("b2".utf8))]))
    }

    @Test func theLogIsTrimmedByAge() throws {
        let log = try LogUnderTest()
        // MINID trims whole nodes only: enough entries for several.
        for number in 0..<450 { _ = try log.ask("XADD", log.keys.log, "\(number + 1)-0", "e", "x") }
        try log.append(Self.alice, as: "e1")
        let length = try #require(try log.ask("XLEN", log.keys.log).integer)
        #expect((1..<110).contains(length))
        #expect(try log.entries().last?[1] == Self.alice)
    }

    @Test func whatHasBeenSeenIsRememberedForAnHour() throws {
        let log = try LogUnderTest()
        try log.append(Self.alice, as: "e1")
        let usual = try #require(try log.ask("PTTL", "t:seen:e1").integer)
        #expect((3_500_000...3_600_000).contains(usual))
        try log.append(Self.alice, as: "e2", policy: .init(retention: .seconds(60)))
        let short = try #require(try log.ask("PTTL", "t:seen:e2").integer)
        #expect((50_000...60_000).contains(short))
    }
}

extension LogUnderTest {
    func connectionBytes(_ key: String, _ field: Identifier) throws -> [UInt8]? {
        let words = [Array("HGET".utf8), Array(key.utf8), field.bytes]
        return try BlockingConnection(server.url).ask(Command(words)).bytes
    }
}

import PortcullisCore
import PortcullisWire
import Testing

@Suite struct ChannelMessageTests {
    static let inner = #"{"v":1,"event":"e1","type":"revoke","select":{"user":"alice"}}"#
    static let revoke = Decision.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append))

    func decode(_ json: String) throws(EventRejection) -> ChannelMessage {
        try ChannelMessage.decode(Array(json.utf8), roles: .standard)
    }

    func position(_ text: String) throws -> LogPosition {
        try #require(LogPosition(Identifier(text)))
    }

    @Test func anEntryOfTheLog() throws {
        let message = try decode(#"{"id":"1700-1","prev":"1700-0","i":"e1","o":1700,"event":\#(Self.inner)}"#)
        let entry = LogEntry(
            position: try position("1700-1"),
            previous: try position("1700-0"),
            key: "e1",
            order: 1700,
            version: nil,
            event: Event(id: "e1", decision: Self.revoke)
        )
        #expect(message == .logged(entry))
    }

    /// In the log the id stands beside the event: an adopted one has none of its own.
    @Test func anAdoptedEntry() throws {
        let bare = #"{"v":1,"type":"revoke","select":{"user":"alice"}}"#
        guard case .logged(let entry) = try decode(#"{"id":"1-1","prev":"0-0","i":"h:00ff","o":1,"event":\#(bare)}"#)
        else {
            Issue.record("not an entry")
            return
        }
        #expect(entry.key == "h:00ff")
        #expect(entry.event.id == nil)
        #expect(entry.previous == LogPosition("0-0"))
    }

    @Test func aPermitWithItsVersion() throws {
        let permit = #"{"v":1,"event":"p1","type":"permit","user":"alice","resource":"doc:1","role":"editor"}"#
        guard case .logged(let entry) = try decode(#"{"id":"1-1","i":"p1","o":1,"version":7,"event":\#(permit)}"#)
        else {
            Issue.record("not an entry")
            return
        }
        #expect(entry.version == 7)
        #expect(entry.previous == nil)
    }

    @Test(arguments: [
        inner, #"{"v":1,"type":"notify","select":{"all":true},"data":null}"#,
        // A bare event may have members named like those of an entry.
        #"{"v":1,"type":"revoke","select":{"user":"alice"},"id":"1-1","i":"x","o":1}"#,
    ])
    func aBareEvent(_ json: String) throws {
        let payload = Array(json.utf8)
        let decoded = try EventCodec.decode(payload, roles: .standard)
        #expect(try ChannelMessage.decode(payload, roles: .standard) == .bare(decoded, payload: payload))
    }

    /// Whoever may publish can write envelopes too; none that is odd is taken.
    @Test(
        arguments: [
            (#"{"i":"e1","o":1,"event":\#(inner)}"#, .badField("id")),
            (#"{"id":"1","i":"e1","o":1,"event":\#(inner)}"#, .badField("id")),
            (#"{"id":"1-1-1","i":"e1","o":1,"event":\#(inner)}"#, .badField("id")),
            (#"{"id":1,"i":"e1","o":1,"event":\#(inner)}"#, .badField("id")),
            (#"{"id":"+","i":"e1","o":1,"event":\#(inner)}"#, .badField("id")),
            (#"{"id":"1-1","o":1,"event":\#(inner)}"#, .badField("i")),
            (#"{"id":"1-1","i":7,"o":1,"event":\#(inner)}"#, .badField("i")),
            (#"{"id":"1-1","i":"","o":1,"event":\#(inner)}"#, .badField("i")),
            // Under another id than its own it would make the gate think that it knows that other event already.
            (#"{"id":"1-1","i":"e2","o":1,"event":\#(inner)}"#, .badField("i")),
            (#"{"id":"1-1","i":"e1","event":\#(inner)}"#, .badField("o")),
            (#"{"id":"1-1","i":"e1","o":"1","event":\#(inner)}"#, .badField("o")),
            (#"{"id":"1-1","i":"e1","o":1.5,"event":\#(inner)}"#, .badField("o")),
            (#"{"id":"1-1","i":"e1","o":-1,"event":\#(inner)}"#, .badField("o")),
            (#"{"id":"1-1","i":"e1","o":1,"event":{}}"#, .unknownVersion),
            (#"{"id":"1-1","i":"e1","o":1,"event":{"v":1,"type":"x"}}"#, .unknownType("x")),
            (#"{"id":"1-1","i":"e1","o":1,"event":"x"}"#, .unknownVersion), ("{}", .unknownVersion),
            ("[1]", .notAnObject),
            (#"{"v":1,"event":\#(inner),"id":"1-1","i":"e1","o":1}"#, .badField("type")),
            (#"{"v":1,"type":"block","select":{"user":"a"}}"#, .needsID("block")),
        ] as [(String, EventRejection)]
    )
    func odd(_ json: String, _ rejection: EventRejection) {
        #expect(throws: rejection) { try decode(json) }
    }

    @Test func anEntryMayBeLargerThanItsEvent() throws {
        func padded(_ count: Int) -> String {
            #"{"v":1,"event":"e1","type":"lift","decision":"e0","reason":"\#(String(repeating: "x", count: count))"}"#
        }
        let event = padded(EventCodec.maximumBytes - padded(0).utf8.count)
        #expect(event.utf8.count == EventCodec.maximumBytes)
        #expect(throws: Never.self) { try decode(#"{"id":"1-1","prev":"0-0","i":"e1","o":1,"event":\#(event)}"#) }
        #expect(throws: EventRejection.tooLarge) { try decode(padded(EventCodec.maximumBytes)) }
        #expect(throws: EventRejection.tooLarge) { try decode(event + " ") }
    }

    @Test func standingEntries() throws {
        let entry = try StandingEntry.decode(Array(#"{"o":12,"event":\#(Self.inner)}"#.utf8), roles: .standard)
        #expect(entry.order == 12)
        #expect(entry.event == Event(id: "e1", decision: Self.revoke))
        for (json, rejection) in [
            ("{}", EventRejection.badField("o")), (#"{"o":1}"#, .badField("event")),
            (#"{"o":1,"event":1}"#, .notAnObject),
            (#"{"o":"1","event":\#(Self.inner)}"#, .badField("o")), ("x", .notJSON(.malformed(at: 0))),
        ] {
            #expect(throws: rejection) { try StandingEntry.decode(Array(json.utf8), roles: .standard) }
        }
    }

    @Test func positions() throws {
        #expect(LogPosition("18446744073709551615-18446744073709551615")?.sequence == .max)
        #expect(try position("9-10") > position("9-9"))
        #expect(try position("10-0") > position("9-9"))
        #expect(try position("007-0").description == "7-0")
        for text in [
            "", "-", "1", "1-", "-1", "1--1", "+1-1", "1-+1", " 1-1", "1-1 ", "a-1", "1-*", "18446744073709551616-0",
            "1-18446744073709551616", "000000000000000000001-0",
        ] {
            #expect(LogPosition(Identifier(text)) == nil)
        }
    }
}

@Suite struct ControlMessageTests {
    static let messages: [ControlMessage] = [
        .probe(nonce: "n1"), .probe(nonce: ""),
        .connections(id: "q1", select: Selector(all: true), except: nil, limit: 1),
        .connections(
            id: "q\"2",
            select: Selector(ids: [.user: "a"], network: IPNetwork("10.0.0.0/8"), resource: "doc:1", role: "editor"),
            except: Selector(connection: ConnectionID(instance: 1, serial: 2)),
            limit: 100_000
        ),
    ]

    @Test(arguments: messages) func roundTrip(_ message: ControlMessage) throws {
        #expect(try ControlMessage.decode(message.encode()) == message)
    }

    @Test func text() {
        #expect(String(decoding: Self.messages[0].encode(), as: UTF8.self) == #"{"v":1,"probe":"n1"}"#)
        #expect(
            String(decoding: Self.messages[2].encode(), as: UTF8.self)
                == #"{"v":1,"query":"connections","id":"q1","select":{"all":true},"limit":1}"#
        )
    }

    @Test func theLimitMayBeLeftOut() throws {
        let json = Array(#"{"v":1,"query":"connections","id":"q","select":{"user":"a"}}"#.utf8)
        let expected = ControlMessage.connections(
            id: "q",
            select: Selector(ids: [.user: "a"]),
            except: nil,
            limit: 1000
        )
        #expect(try ControlMessage.decode(json) == expected)
    }

    @Test(
        arguments: [
            ("{}", .unknownVersion), (#"{"v":2,"probe":"n"}"#, .unknownVersion), ("n", .notJSON(.malformed(at: 0))),
            (#"{"v":1,"probe":1}"#, .unknownType("query")), (#"{"v":1,"query":"users"}"#, .unknownType("query")),
            (#"{"v":1,"query":"connections","select":{"all":true}}"#, .badField("id")),
            (#"{"v":1,"query":"connections","id":"","select":{"all":true}}"#, .badField("id")),
            (#"{"v":1,"query":"connections","id":"q"}"#, .emptySelector),
            (#"{"v":1,"query":"connections","id":"q","select":{}}"#, .emptySelector),
            (#"{"v":1,"query":"connections","id":"q","select":{"all":true},"except":{}}"#, .emptySelector),
            (#"{"v":1,"query":"connections","id":"q","select":{"all":true},"limit":0}"#, .badField("limit")),
            (#"{"v":1,"query":"connections","id":"q","select":{"all":true},"limit":100001}"#, .badField("limit")),
            (#"{"v":1,"query":"connections","id":"q","select":{"all":true},"limit":"5"}"#, .badField("limit")),
            (#"{"v":1,"query":"connections","id":"q","select":{"all":true},"limit":1.5}"#, .badField("limit")),
        ] as [(String, EventRejection)]
    )
    func refused(_ json: String, _ rejection: EventRejection) {
        #expect(throws: rejection) { try ControlMessage.decode(Array(json.utf8)) }
    }
}

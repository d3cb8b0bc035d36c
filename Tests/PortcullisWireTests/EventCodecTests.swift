import PortcullisCore
import PortcullisWire
import Testing

func event(_ json: String, mayLackID: Bool = false) throws(EventRejection) -> Event {
    try EventCodec.decode(Array(json.utf8), roles: .standard, mayLackID: mayLackID)
}

/// The members of an event of version 1, with an id.
func e1(_ members: String) -> String {
    #"{"v":1,"event":"e1",\#(members)}"#
}

@Suite struct EventCodecTests {
    static let hash = String(repeating: "0123456789abcdef", count: 4)
    static let everyField = Selector(
        ids: [
            .user: "alice", .session: "s", .token: "t", .tokenHash: Identifier(hash), .tenant: "acme", .device: "d",
            .key: "k", .issuer: "https://issuer.test",
        ],
        network: IPNetwork("192.0.2.0/24")
    )
    static let connections = Selector(
        connection: ConnectionID(instance: 1, serial: 2),
        resource: "doc:1",
        role: "editor"
    )

    static let decisions: [Decision] = [
        .revoke(.init(select: everyField, except: user("bob"), issuedBefore: .time(time(5)), expires: time(9))),
        .revoke(.init(select: user("alice"), issuedBefore: .append)),
        .revoke(.init(select: Selector(all: true), issuedBefore: .never)),
        .revoke(.init(select: Selector(ids: [.token: "t"]), issuedBefore: .never)),
        .block(user("a \"\\\u{E9}\u{1F600}"), except: Selector(ids: [.device: "d"]), until: time(7)),
        .block(Selector(network: IPNetwork("2001:db8::/32")), except: nil, until: nil),
        .unblock(Selector(ids: [.tenant: "acme"])),
        .permit(.init(user: "alice", resource: "doc:1", role: Role(rank: 2), version: 3)),
        .permit(.init(user: "alice", resource: "doc:1", role: nil, version: nil)),
        .reauthenticate(user("alice"), except: user("bob"), within: .seconds(60)),
        .lift(event: "other"),
        .notify(connections, except: connections, data: Array(#"{"a":[1,"\u00e9",null]}"#.utf8)),
        .notify(user("alice"), except: nil, data: Array(#""text""#.utf8)),
        .disconnect(connections, except: nil, code: 4000, reason: nil),
        .disconnect(user("alice"), except: connections, code: 1000, reason: nil),
    ]

    static func user(_ id: Identifier) -> Selector {
        Selector(ids: [.user: id])
    }

    static func time(_ milliseconds: Int64) -> WallTime {
        WallTime(milliseconds: milliseconds)
    }

    @Test(arguments: decisions) func roundTrip(_ decision: Decision) throws {
        let full = Event(
            id: "e1",
            decision: decision,
            at: Self.time(1_700_000_000_123),
            actor: "admin:ops",
            reason: nil,
            message: "You \"changed\"\nyour password \u{1F511}.",
            wantsReceipt: true
        )
        for event in [full, Event(id: "e2", decision: decision)] {
            let bytes = EventCodec.encode(event, roles: .standard)
            #expect(try EventCodec.decode(bytes, roles: .standard) == event)
        }
        let bare = EventCodec.encode(Event(id: nil, decision: decision), roles: .standard)
        #expect(try EventCodec.decode(bare, roles: .standard, mayLackID: true).id == nil)
        let refusal = EventRejection.needsID(decision.type)
        if decision.mayLackID {
            #expect(try EventCodec.decode(bare, roles: .standard).decision == decision)
        } else {
            #expect(throws: refusal) { try EventCodec.decode(bare, roles: .standard) }
        }
    }

    /// `reason` is one member, whichever of the two it is for.
    @Test func theReasonIsWrittenOnce() throws {
        let disconnect = Decision.disconnect(Self.user("alice"), except: nil, code: 4001, reason: "bye")
        for event in [
            Event(id: nil, decision: disconnect), Event(id: nil, decision: disconnect, reason: "bye"),
        ] {
            let decoded = try EventCodec.decode(EventCodec.encode(event, roles: .standard), roles: .standard)
            #expect(decoded.decision == disconnect)
            #expect(decoded.reason == "bye")
        }
        let revoke = Event(id: nil, decision: Self.decisions[1], reason: "password_changed")
        let decoded = try EventCodec.decode(EventCodec.encode(revoke, roles: .standard), roles: .standard)
        #expect(decoded == revoke)
    }

    @Test func theExampleOfTheContract() throws {
        let decoded = try event(
            #"{"v":1,"event":"01J","type":"revoke","at_ms":1700000000123,"actor":"admin:ops","reason":"password_changed","#
                + #""message":"You changed your password.","select":{"user":"alice"},"issued_before_ms":1700000000123,"sig":"x"}"#
        )
        #expect(
            decoded
                == Event(
                    id: "01J",
                    decision: .revoke(
                        .init(select: Self.user("alice"), issuedBefore: .time(Self.time(1_700_000_000_123)))
                    ),
                    at: Self.time(1_700_000_000_123),
                    actor: "admin:ops",
                    reason: "password_changed",
                    message: "You changed your password."
                )
        )
        let bare = try event(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        #expect(bare.decision == .revoke(.init(select: Self.user("alice"), issuedBefore: .append)))
    }

    /// Where one credential is named, what was issued later under the same name is covered too.
    @Test(arguments: Identity.Field.allCases) func theDefaultOfIssuedBefore(_ field: Identity.Field) throws {
        let id = field == .tokenHash ? Self.hash : "x"
        let decoded = try event(#"{"v":1,"type":"revoke","select":{"\#(field.name)":"\#(id)"}}"#)
        let one = [.token, .tokenHash, .session].contains(field)
        #expect(
            decoded.decision
                == .revoke(.init(select: Selector(ids: [field: Identifier(id)]), issuedBefore: one ? .never : .append))
        )
    }

    /// A hash is compared byte for byte, by gates and in shared keys: upper case is the same hash, and what is none says so.
    @Test func hashesOfTokens() throws {
        let select = Selector(ids: [.tokenHash: Identifier(Self.hash)])
        for text in [Self.hash, Self.hash.uppercased(), "0123456789AbCdEf" + Self.hash.dropFirst(16)] {
            let decoded = try event(
                e1(#""type":"revoke","select":{"user":"a"},"except":{"token_hash":"\#(text)"}"#)
            )
            #expect(
                decoded.decision == .revoke(.init(select: Self.user("a"), except: select, issuedBefore: .append)),
                "\(text)"
            )
            #expect(
                try event(e1(#""type":"revoke","select":{"token_hash":"\#(text)"}"#)).decision
                    == .revoke(.init(select: select, issuedBefore: .never))
            )
        }
        let digits = Self.hash.dropLast()
        for text in ["", "00ff", digits + "", digits + "g", digits + "é", Self.hash + "0", " " + digits, digits + "@"] {
            let hash = #"{"token_hash":"\#(text)"}"#
            for members in [#""select":\#(hash)"#, #""select":{"user":"a"},"except":\#(hash)"#] {
                #expect(throws: EventRejection.badField("select.token_hash"), "\(text)") {
                    try event(e1(#""type":"revoke",\#(members)"#))
                }
            }
        }
    }

    @Test func namesOfFields() {
        for field in Identity.Field.allCases { #expect(Identity.Field(name: field.name) == field) }
        let names = Identity.Field.allCases.map(\.name)
        #expect(names == ["user", "session", "token", "token_hash", "tenant", "device", "key", "issuer"])
        #expect(Identity.Field(name: "User") == nil)
    }

    @Test func typesAndWhatTheyAllow() {
        let table = Dictionary(uniqueKeysWithValues: Self.decisions.map { ($0.type, $0) }, uniquingKeysWith: { $1 })
        let logged = table.filter(\.value.isLogged).keys.sorted()
        #expect(logged == ["block", "lift", "permit", "reauthenticate", "revoke", "unblock"])
        #expect(table.filter(\.value.mayLackID).keys.sorted() == ["disconnect", "notify", "revoke"])
        #expect(table.count == 8)
    }
}

extension Dictionary {
    fileprivate init(uniqueKeysWithValues pairs: [(Key, Value)], uniquingKeysWith combine: (Value, Value) -> Value) {
        self.init(pairs, uniquingKeysWith: combine)
    }
}

@Suite struct EventRejectionTests {
    @Test(
        arguments: [
            ("", .notJSON(.malformed(at: 0))), ("[]", .notAnObject), ("1", .notAnObject), ("null", .notAnObject),
            ("{}", .unknownVersion), (#"{"v":2,"type":"revoke"}"#, .unknownVersion),
            (#"{"v":"1","type":"revoke"}"#, .unknownVersion), (#"{"v":1.0,"type":"revoke"}"#, .unknownVersion),
            (#"{"v":1}"#, .badField("type")), (#"{"v":1,"type":1}"#, .badField("type")),
            (#"{"v":1,"type":"Revoke","select":{"user":"a"}}"#, .unknownType("Revoke")),
            (#"{"v":1,"type":"","select":{"user":"a"}}"#, .unknownType("")),
            (#"{"v":1,"type":"revoke"}"#, .emptySelector), (#"{"v":1,"type":"revoke","select":{}}"#, .emptySelector),
            (#"{"v":1,"type":"revoke","select":[]}"#, .badField("select")),
            (#"{"v":1,"type":"revoke","select":null}"#, .badField("select")),
            (#"{"v":1,"type":"revoke","select":"alice"}"#, .badField("select")),
            (#"{"v":1,"type":"revoke","select":{"users":"a"}}"#, .unknownSelector("users")),
            (#"{"v":1,"type":"revoke","select":{"user":"a","colour":"b"}}"#, .unknownSelector("colour")),
            (#"{"v":1,"type":"revoke","select":{"user":""}}"#, .badField("select.user")),
            (#"{"v":1,"type":"revoke","select":{"user":1}}"#, .badField("select.user")),
            (#"{"v":1,"type":"revoke","select":{"user":"a\u0000"}}"#, .badField("select.user")),
            (#"{"v":1,"type":"revoke","select":{"all":false}}"#, .badField("select.all")),
            (#"{"v":1,"type":"revoke","select":{"all":1}}"#, .badField("select.all")),
            (#"{"v":1,"type":"revoke","select":{"ip":"1.2.3.4/33"}}"#, .badField("select.ip")),
            (
                #"{"v":1,"type":"revoke","select":{"connection":"000000ab000000000000cdef"}}"#,
                .connectionSelector("connection")
            ),
            (#"{"v":1,"type":"revoke","select":{"connection":"x"}}"#, .badField("select.connection")),
            (#"{"v":1,"type":"revoke","select":{"resource":"doc:1"}}"#, .connectionSelector("resource")),
            (#"{"v":1,"type":"revoke","select":{"user":"a","role":"editor"}}"#, .connectionSelector("role")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"except":{}}"#, .emptySelector),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"except":null}"#, .badField("select")),
            (
                #"{"v":1,"type":"revoke","select":{"user":"a"},"except":{"resource":"r"}}"#,
                .connectionSelector("except")
            ),
            (
                #"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":"Never"}"#,
                .badField("issued_before_ms")
            ),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":-1}"#, .badField("issued_before_ms")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":1.5}"#, .badField("issued_before_ms")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"issued_before_ms":null}"#, .badField("issued_before_ms")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"expires_at_ms":"soon"}"#, .badField("expires_at_ms")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"at_ms":-5}"#, .badField("at_ms")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"actor":7}"#, .badField("actor")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"ack":"yes"}"#, .badField("ack")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"event":""}"#, .badField("event")),
            (#"{"v":1,"type":"revoke","select":{"user":"a"},"event":7}"#, .badField("event")),
            (#"{"v":1,"type":"block","select":{"user":"a"}}"#, .needsID("block")),
            (#"{"v":1,"type":"unblock","select":{"user":"a"}}"#, .needsID("unblock")),
            (#"{"v":1,"type":"lift","decision":"e"}"#, .needsID("lift")),
            (#"{"v":1,"type":"permit","user":"a","resource":"r","role":null}"#, .needsID("permit")),
            (#"{"v":1,"type":"reauthenticate","select":{"user":"a"},"within_s":1}"#, .needsID("reauthenticate")),
        ] as [(String, EventRejection)]
    )
    func refused(_ json: String, _ rejection: EventRejection) {
        #expect(throws: rejection) { try event(json) }
    }

    @Test(
        arguments: [
            (#""type":"block","select":{"session":"s"}"#, .badField("select.session")),
            (#""type":"block","select":{"user":"a","token":"t"}"#, .badField("select.token")),
            (#""type":"unblock","select":{"key":"k"}"#, .badField("select.key")),
            (#""type":"block","select":{"user":"a"},"until_ms":-1"#, .badField("until_ms")),
            (#""type":"permit","resource":"r","role":null"#, .badField("user")),
            (#""type":"permit","user":"a","role":null"#, .badField("resource")),
            (#""type":"permit","user":"a","resource":"r""#, .badField("role")),
            (#""type":"permit","user":"a","resource":"r","role":"king""#, .badField("role")),
            (#""type":"permit","user":"a","resource":"r","role":1"#, .badField("role")),
            (#""type":"permit","user":"a","resource":"r","role":null,"version":0"#, .badField("version")),
            (#""type":"permit","user":"a","resource":"r","role":null,"version":"1""#, .badField("version")),
            (#""type":"reauthenticate","select":{"user":"a"}"#, .badField("within_s")),
            (#""type":"reauthenticate","select":{"user":"a"},"within_s":-1"#, .badField("within_s")),
            (#""type":"reauthenticate","select":{"user":"a"},"within_s":86401"#, .badField("within_s")),
            (#""type":"lift""#, .badField("decision")), (#""type":"lift","decision":"""#, .badField("decision")),
            (#""type":"notify","select":{"user":"a"}"#, .badField("data")),
            (#""type":"disconnect","select":{"user":"a"},"code":999"#, .badField("code")),
            (#""type":"disconnect","select":{"user":"a"},"code":1005"#, .badField("code")),
            (#""type":"disconnect","select":{"user":"a"},"code":1015"#, .badField("code")),
            (#""type":"disconnect","select":{"user":"a"},"code":2000"#, .badField("code")),
            (#""type":"disconnect","select":{"user":"a"},"code":5000"#, .badField("code")),
            (#""type":"disconnect","select":{"user":"a"},"code":"1000""#, .badField("code")),
        ] as [(String, EventRejection)]
    )
    func refusedWithAnID(_ members: String, _ rejection: EventRejection) {
        #expect(throws: rejection) { try event(e1(members)) }
    }

    @Test func tooLarge() {
        let filler = String(repeating: " ", count: EventCodec.maximumBytes)
        #expect(throws: EventRejection.tooLarge) { try event(e1(#""type":"lift","decision":"e""#) + filler) }
        let exactly = e1(#""type":"lift","decision":"e""#)
        let padded = exactly + String(repeating: " ", count: EventCodec.maximumBytes - exactly.utf8.count)
        #expect(throws: Never.self) { try event(padded) }
    }

    @Test func twiceOrBehind() {
        #expect(throws: EventRejection.self) {
            try event(#"{"v":1,"type":"revoke","select":{"user":"a"},"select":{"user":"b"}}"#)
        }
        #expect(throws: EventRejection.self) { try event(#"{"v":1,"type":"revoke","select":{"user":"a","user":"b"}}"#) }
        #expect(throws: EventRejection.self) { try event(#"{"v":1,"type":"revoke","select":{"user":"a"}}x"#) }
    }

    /// Every rejection says itself in a sentence and under a label; a newer gate might understand three of them.
    @Test(
        arguments: [
            (.tooLarge, "too_large", false), (.notJSON(.tooDeep), "not_json", false), (.notAnObject, "not_json", false),
            (.unknownVersion, "unknown_version", true), (.unknownType("x"), "unknown_type", true),
            (.unknownSelector("x"), "unknown_selector", true), (.emptySelector, "empty_selector", false),
            (.connectionSelector("role"), "connection_selector", false), (.badField("x"), "bad_field", false),
            (.needsID("block"), "needs_id", false),
        ] as [(EventRejection, String, Bool)]
    )
    func labels(_ rejection: EventRejection, _ label: String, _ unknown: Bool) {
        #expect(rejection.label == label)
        #expect(rejection.isUnknown == unknown)
        #expect(rejection.description.hasSuffix("."))
    }

    @Test func anErrorNamesDisconnect() {
        #expect(EventRejection.connectionSelector("role").description.contains("`disconnect`"))
    }
}

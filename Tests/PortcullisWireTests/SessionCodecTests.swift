import PortcullisCore
import PortcullisWire
import Testing

@Suite struct SessionCodecTests {
    func decode(
        _ json: String,
        user: String = "user_id",
        created: String = "created_at",
        expires: WallTime? = nil
    ) throws(Refusal) -> Identity {
        var parser = StrictJSON()
        return try SessionCodec(userField: user, createdField: created, roles: .standard)
            .decode(.string(Array(json.utf8)), id: "sid", expires: expires, &parser).identity
    }

    @Test func everythingThatItKnows() throws {
        let identity = try decode(
            #"{"user_id":"alice","device":"d1","tenant":"acme","created_at":1700000000,"auth_time":1700000001,"#
                + #""permissions":{"doc:1":"editor","doc:2":"king","":"viewer","doc:3":7},"other":{"user_id":"mallory"}}"#,
            expires: WallTime(milliseconds: 9)
        )
        #expect(identity.user == "alice")
        #expect(identity[.session] == "sid")
        #expect(identity[.device] == "d1")
        #expect(identity[.tenant] == "acme")
        #expect(identity[.token] == nil)
        #expect(identity.issued == WallTime(milliseconds: 1_700_000_000_000))
        #expect(identity.authenticated == WallTime(milliseconds: 1_700_000_001_000))
        #expect(identity.expires == WallTime(milliseconds: 9))
        #expect(identity.kind == .session)
        #expect(identity.permissions == ["doc:1": Role(rank: 2)])
    }

    /// Whoever reads a session says what its dates are, or refuses it; all else stays.
    @Test(arguments: [
        (SessionFormat.json, StoredSession.string(Array(#"{"user_id":"alice","device":"d1","created_at":7}"#.utf8))),
        (.hash, .hash(["user_id", "alice", "device", "d1", "created_at", "7"].map { Array($0.utf8) })),
    ])
    func datedByWhoeverReads(_ format: SessionFormat, _ stored: StoredSession) throws {
        let codec = SessionCodec(format: format, userField: "user_id", createdField: "created_at", roles: .standard)
        let (made, end) = (WallTime(milliseconds: 7000), WallTime(milliseconds: 9000))
        var parser = StrictJSON()
        let session = try codec.decode(stored, id: "sid", expires: end, &parser) {
            issued,
            expires throws(Refusal) in
            #expect(issued == made && expires == end)
            return (nil, made)
        }
        #expect(session.identity.issued == nil && session.identity.expires == made)
        #expect(session.identity.user == "alice" && session.identity[.device] == "d1")
        #expect(session.identity[.session] == "sid" && session.identity[.tenant] == nil)
        #expect(throws: Refusal(.expired, "too old")) {
            try codec.decode(stored, id: "sid", expires: end, &parser) { _, _ throws(Refusal) in
                throw Refusal(.expired, "too old")
            }
        }
    }

    @Test(
        arguments: [
            (#"{"user_id":"alice"}"#, "user_id", "alice"),
            (#"{"passport":{"user":"alice"}}"#, "passport.user", "alice"),
            (#"{"a":{"b":{"c":"x"}},"c":"y"}"#, "a.b.c", "x"), (#"{"user_id":42}"#, "user_id", "42"),
            (#"{"user_id":-7}"#, "user_id", "-7"), (#"{"user_id":0}"#, "user_id", "0"),
            // Ids of 64 bits and more keep all their digits.
            (#"{"user_id":1234567890123456789}"#, "user_id", "1234567890123456789"),
            (#"{"user_id":18446744073709551616}"#, "user_id", "18446744073709551616"),
            (#"{"passport":{"user":9007199254740993}}"#, "passport.user", "9007199254740993"),
            (#"{"us\u0065r_id":"\u00e9"}"#, "user_id", "\u{E9}"),
        ] as [(String, String, Identifier)]
    )
    func users(_ json: String, _ path: String, _ user: Identifier) throws {
        #expect(try decode(json, user: path).user == user)
    }

    @Test(arguments: [
        ("", "user_id"), ("alice", "user_id"), ("[]", "user_id"), (#""alice""#, "user_id"), ("{}", "user_id"),
        (#"{"user_id":""}"#, "user_id"), (#"{"user_id":null}"#, "user_id"), (#"{"user_id":true}"#, "user_id"),
        (#"{"user_id":1.5}"#, "user_id"), (#"{"user_id":1e3}"#, "user_id"), (#"{"user_id":["a"]}"#, "user_id"),
        (#"{"user_id":{"id":"a"}}"#, "user_id"), (#"{"user_id":"a\u0000"}"#, "user_id"),
        (#"{"user_id":"a","user_id":"b"}"#, "user_id"), (#"{"passport.user":"alice"}"#, "passport.user"),
        (#"{"passport":"alice"}"#, "passport.user"), (#"{"passport":{}}"#, "passport.user"), (#"{"user_id":"a"}"#, ""),
        (#"{"user_id":"a","device":7}"#, "user_id"), (#"{"user_id":"a","tenant":""}"#, "user_id"),
        (#"{"user_id":"a"} x"#, "user_id"),
        (#"{"user_id":"\#(String(repeating: "x", count: 256))"}"#, "user_id"),
    ])
    func unreadable(_ json: String, _ path: String) {
        #expect { try decode(json, user: path) } throws: { error in
            guard let refusal = error as? Refusal else { return false }
            return refusal.outcome == .unknownSession && !refusal.detail.contains("mallory")
        }
    }

    @Test func absentOptionalsAreNull() throws {
        let identity = try decode(#"{"user_id":"a","device":null,"tenant":null,"permissions":null,"created_at":null}"#)
        #expect(!identity.has(.device))
        #expect(!identity.has(.tenant))
        #expect(identity.issued == nil)
        #expect(identity.permissions.isEmpty)
        #expect(identity.expires == nil)
    }

    /// Seconds, milliseconds or RFC 3339. A time that cannot be read is an unknown one, which every revocation covers.
    @Test(
        arguments: [
            ("1700000000", 1_700_000_000_000), ("1700000000123", 1_700_000_000_123),
            ("1700000000.123", 1_700_000_000_123),
            ("1700000000.999", 1_700_000_000_999), ("1700000000.9999", 1_700_000_000_999), ("1.7e9", 1_700_000_000_000),
            ("0", 0), (#""2023-11-14T22:13:20.123Z""#, 1_700_000_000_123), (#""1700000000""#, nil), ("-1", nil),
            ("1e15", nil),
            ("1e400", nil), ("true", nil), ("[1]", nil), (#""yesterday""#, nil), (#""""#, nil),
        ] as [(String, Int64?)]
    )
    func creation(_ value: String, _ milliseconds: Int64?) throws {
        let identity = try decode(#"{"user_id":"a","made":\#(value)}"#, created: "made")
        #expect(identity.issued?.milliseconds == milliseconds)
    }

    @Test func everyMillisecondOfAFractionIsKept() {
        for thousandths in Int64(0)..<1000 {
            let seconds = 1_700_000_000 + Double(thousandths) / 1000
            #expect(WallTime(secondsOrMilliseconds: seconds)?.milliseconds == 1_700_000_000_000 + thousandths)
        }
    }
}

/// The same rules in the formats that are not JSON.
@Suite struct SessionFormatTests {
    private func decode(
        _ format: SessionFormat,
        _ stored: StoredSession,
        user: String = "user_id"
    ) throws(Refusal) -> Identity {
        var parser = StrictJSON()
        return try SessionCodec(format: format, userField: user, createdField: "created_at", roles: .standard)
            .decode(stored, id: "sid", expires: nil, &parser).identity
    }

    private func hash(_ words: String...) -> StoredSession {
        .hash(words.map { Array($0.utf8) })
    }

    @Test func aHash() throws {
        let identity = try decode(
            .hash,
            hash(
                "user_id",
                "7",
                "device",
                "d1",
                "tenant",
                "",
                "created_at",
                "1700000000.5",
                "auth_time",
                "2023-11-14T22:13:20Z",
                "permissions",
                #"{"doc:1":"editor"}"#,
                "other",
                "x"
            )
        )
        #expect(identity.user == "7")
        #expect(identity[.device] == "d1")
        #expect(!identity.has(.tenant))
        #expect(identity.issued?.milliseconds == 1_700_000_000_500)
        #expect(identity.authenticated?.milliseconds == 1_700_000_000_000)
        #expect(identity.permissions == ["doc:1": Role(rank: 2)])
        #expect(try decode(.hash, hash("passport.user", "al"), user: "passport.user").user == "al")
    }

    @Test func messagePack() throws {
        let json = #"{"passport":{"user":9007199254740993},"device":"d1","permissions":{"doc:1":"editor"},"x":[1]}"#
        var value = try MessagePackValue(json: Array(json.utf8))
        guard case .map(let pairs) = value else {
            Issue.record("no map")
            return
        }
        let moment = MessagePackValue.extended(type: -1, [0x65, 0x53, 0xF1, 0x00])
        value = .map(pairs + [.init(key: .text(Array("created_at".utf8)), value: moment)])
        let identity = try decode(.msgpack, .string(value.encoded), user: "passport.user")
        #expect(identity.user == "9007199254740993")
        #expect(identity[.device] == "d1")
        #expect(identity.issued?.milliseconds == 1_700_000_000_000)
        #expect(identity.permissions == ["doc:1": Role(rank: 2)])
        let large = MessagePackValue.map([.init(key: .text(Array("user_id".utf8)), value: .unsigned(.max))])
        #expect(try decode(.msgpack, .string(large.encoded)).user == "18446744073709551615")
    }

    @Test func refused() {
        let stored: [(SessionFormat, StoredSession)] = [
            (.hash, hash("user_id")), (.hash, hash("user_id", "")), (.hash, hash("device", "d")),
            (.hash, hash("user_id", "a", "permissions", "{")), (.hash, .string(Array("{}".utf8))),
            (.json, hash("user_id", "a")), (.msgpack, hash("user_id", "a")), (.msgpack, .string([])),
            (.msgpack, .string([0x90])), (.msgpack, .string([0x80, 0])), (.msgpack, .string([0x80])),
            (.msgpack, .string(Array(#"{"user_id":"a"}"#.utf8))),
        ]
        for (format, value) in stored {
            #expect { try decode(format, value) } throws: { ($0 as? Refusal)?.outcome == .unknownSession }
        }
    }
}

@Suite struct RFC3339Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1969-12-31T23:59:59.999Z", -1),
        ("2000-02-29T12:00:00Z", 951_825_600_000), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000), ("2023-11-14T22:13:20.1Z", 1_700_000_000_100),
        ("2023-11-14T22:13:20.1239999Z", 1_700_000_000_123), ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        ("2023-11-14T16:43:20-05:30", 1_700_000_000_000), ("2023-11-14T22:13:20-00:00", 1_700_000_000_000),
        ("1990-12-31T23:59:60Z", 662_688_000_000), ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000), ("2100-02-28T00:00:00Z", 4_107_456_000_000),
    ])
    func valid(_ text: String, _ milliseconds: Int64) {
        #expect(WallTime(rfc3339: text) == WallTime(milliseconds: milliseconds))
    }

    @Test(arguments: [
        "", "2023-11-14", "2023-11-14T22:13Z", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20,1Z", "2023-13-14T22:13:20Z", "2023-00-14T22:13:20Z", "2023-11-00T22:13:20Z",
        "2023-11-31T22:13:20Z", "2023-02-29T22:13:20Z", "2100-02-29T22:13:20Z", "2024-02-30T22:13:20Z",
        "2023-11-14T24:00:00Z", "2023-11-14T22:60:20Z", "2023-11-14T22:13:61Z", "2023-11-14T22:13:20+24:00",
        "2023-11-14T22:13:20+01:60", "2023-11-14T22:13:20+0100", "2023-11-14T22:13:20+01", "2023-11-14T22:13:20Zx",
        "2023-11-14T22:13:20.123", "+023-11-14T22:13:20Z", "2023-1-014T22:13:20Z", " 2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.12345678901234567890123456789Z", "20231114T221320.000000Z", "2023-11-14T22:13:20.1z2",
    ])
    func invalid(_ text: String) {
        #expect(WallTime(rfc3339: text) == nil)
    }
}

import PortcullisCore
import PortcullisWire
import TestKit
import Testing

@Suite struct JSONBuilderTests {
    func text(_ members: (inout JSONBuilder) -> Void) -> String {
        String(decoding: JSONBuilder.object(members), as: UTF8.self)
    }

    @Test func shapes() {
        #expect(text { _ in } == "{}")
        let built = text { json in
            json.member("s", "x")
            json.member("i", Identifier("y"))
            json.member("n", -5)
            json.member("t", true)
            json.member("f", false)
            json.name("z")
            json.null()
            json.member("o") { $0.member("a", 1) }
            json.name("l")
            json.array { list in
                list.value(1)
                list.object { $0.member("b", 2) }
                list.array { _ in }
                list.value("x")
            }
            json.member("r", json: Array("[1]".utf8))
        }
        #expect(
            built
                == #"{"s":"x","i":"y","n":-5,"t":true,"f":false,"z":null,"o":{"a":1},"l":[1,{"b":2},[],"x"],"r":[1]}"#
        )
    }

    @Test(arguments: [
        ("", ""), ("a", "a"), ("\"", #"\""#), ("\\", #"\\"#), ("/", "/"), ("\n\r\t", #"\n\r\t"#), ("\u{0}", #"\u0000"#),
        ("\u{8}\u{C}\u{1F}", #"\u0008\u000c\u001f"#), ("\u{7F}", #"\u007f"#), ("\u{80}\u{E9}", "\u{80}\u{E9}"),
        ("\u{2028}", "\u{2028}"), ("\u{1F600}", "\u{1F600}"), ("</script>", "</script>"),
    ])
    func escapes(_ value: String, _ escaped: String) {
        #expect(text { $0.member("k", value) } == "{\"k\":\"\(escaped)\"}")
        #expect(text { $0.member(value, 1) } == "{\"\(escaped)\":1}")
    }

    /// Texts are looked at some bytes at a time: an escape is found wherever it stands, and what is around it stays.
    @Test(arguments: ["\"", "\\", "\u{0}", "\n", "\u{1F}", "\u{7F}"]) func escapesAnywhere(_ special: String) throws {
        var json = StrictJSON()
        for length in 0..<20 {
            for place in 0...length {
                let before = String(repeating: "\u{E9}", count: place)
                let id = Identifier(before + special + String(repeating: "x", count: length - place) + special)
                let built = JSONBuilder.object { $0.member("k", id) }
                #expect(built.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
                try json.parse(built.span)
                #expect(json.member("k", in: built.span).flatMap { json.string($0, in: built.span) } == id)
            }
        }
    }

    @Test func behindWhatStandsThere() {
        var buffer = Array("before".utf8)
        JSONBuilder.object(to: &buffer) { json in
            json.member("b", base64: [0, 1, 2, 0xFF])
            json.member("e", base64: [])
            json.member("c", ConnectionID(instance: 0xAB, serial: 0xFEDC_BA98_7654_3210))
        }
        JSONBuilder.object(to: &buffer) { $0.member("n", Int64.min) }
        #expect(
            String(decoding: buffer, as: UTF8.self)
                == #"before{"b":"AAEC/w==","e":"","c":"000000abfedcba9876543210"}{"n":-9223372036854775808}"#
        )
    }

    @Test func whatIsNotUTF8BecomesTheReplacement() throws {
        for bytes in [
            [0xFF], [0x61, 0xC3], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC0, 0xAF], [0x22, 0x0A, 0xE2, 0x82],
        ] as [[UInt8]] {
            let built = JSONBuilder.object { $0.member("k", Identifier(bytes: bytes)) }
            var json = StrictJSON()
            try json.parse(built.span)
            let read = json.member("k", in: built.span).flatMap { json.string($0, in: built.span) }
            #expect(read == Identifier(String(decoding: bytes, as: UTF8.self)))
        }
    }

    @Test(
        arguments: [
            (0, "0"), (1000, "1"), (1_700_000_000_000, "1700000000"), (1_700_000_000_001, "1700000000.001"),
            (50, "0.050"),
            (999, "0.999"), (-1, "-0.001"), (-1500, "-1.500"), (-2000, "-2"), (.max, "9223372036854775.807"),
            (.min, "-9223372036854775.808"),
        ] as [(Int64, String)]
    )
    func seconds(_ milliseconds: Int64, _ text: String) {
        let built = self.text { $0.member("k", seconds: WallTime(milliseconds: milliseconds)) }
        #expect(built == "{\"k\":\(text)}")
    }

    @Test func anyScalarIsReadAgain() throws {
        var json = StrictJSON()
        for value in UInt32(0)...0x2FFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let id = Identifier(String(scalar))
            let built = JSONBuilder.object { $0.member("k", id) }
            try json.parse(built.span)
            #expect(json.member("k", in: built.span).flatMap { json.string($0, in: built.span) } == id)
        }
    }

    /// The Big List of Naughty Strings comes back byte for byte, as a value and as a name.
    @Test(.enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot))) func naughtyStrings() throws {
        let list = try Vectors.read("blns/blns.json")
        var json = StrictJSON()
        try json.parse(list.span)
        let strings = json.elements(of: 0).compactMap { json.string($0, in: list.span) }
        #expect(strings.count > 500)
        for id in strings {
            let built = JSONBuilder.object { json in
                json.name(id.bytes)
                json.value(id)
            }
            try json.parse(built.span)
            let members = Array(json.members())
            let member = try #require(members.first)
            #expect(json.string(member.name, in: built.span) == id)
            #expect(json.string(member.value, in: built.span) == id)
        }
    }
}

import PortcullisCore
import Testing

@testable import PortcullisWire

@Suite("Canonical JSON (RFC 8785)")
struct CanonicalJSONTests {
    private func canonical(_ text: String, leavingOut: Identifier? = nil) throws -> String? {
        var json = StrictJSON()
        let bytes = Array(text.utf8)
        try json.parse(bytes.span)
        return CanonicalJSON.encode(json, in: bytes, leavingOut: leavingOut).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("The examples of sections 3.2.2 and 3.2.3")
    func examples() throws {
        let first = #"""
            {
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }
            """#
        #expect(
            try canonical(first)
                == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        )
        let second = #"""
            {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
             "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}
            """#
        let names = try #require(try canonical(second)).split(separator: ",").map { $0.split(separator: ":")[1] }
        #expect(
            names.map(String.init) == [
                #""Carriage Return""#, #""One""#, #""Control""#, #""Latin Small Letter O With Diaeresis""#,
                #""Euro Sign""#, #""Emoji"#, #""Hebrew Letter Dalet With Dagesh"}"#,
            ]
        )
    }

    /// Appendix B, by the bits of the double.
    @Test(
        arguments: [
            (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"), (0xC340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"), (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"),
            (0x44B5_2D02_C7E1_4AF6, "1e+23"), (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"),
            (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"), (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"),
            (0x444B_1AE4_D6E2_EF50, "1e+21"), (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"),
            (0x3EB0_C6F7_A0B5_ED8D, "0.000001"), (0x41B3_DE43_5555_5553, "333333333.3333332"),
            (0x41B3_DE43_5555_5554, "333333333.33333325"), (0x41B3_DE43_5555_5555, "333333333.3333333"),
            (0x41B3_DE43_5555_5556, "333333333.3333334"), (0x41B3_DE43_5555_5557, "333333333.33333343"),
            (0xBECB_F647_612F_3696, "-0.0000033333333333333333"), (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
        ] as [(UInt64, String)]
    )
    func numbers(_ bits: UInt64, _ text: String) {
        #expect(String(decoding: CanonicalJSON.number(Double(bitPattern: bits)), as: UTF8.self) == text)
    }

    @Test func leavesOutOnlyTheOutermostMember() throws {
        #expect(try canonical(#"{"sig":"x","b":{"sig":1},"a":[]}"#, leavingOut: "sig") == #"{"a":[],"b":{"sig":1}}"#)
        #expect(try canonical(#"{"a":1e999}"#) == nil)
    }
}

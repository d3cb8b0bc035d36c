import PortcullisCore
import PortcullisWire
import Testing

@Suite struct MessagePackTests {
    /// The first byte of each form, at its bounds (the format's spec.md).
    @Test(
        arguments: [
            ([0x00], .integer(0)), ([0x7F], .integer(127)), ([0xE0], .integer(-32)), ([0xFF], .integer(-1)),
            ([0xC0], .null), ([0xC2], .flag(false)), ([0xC3], .flag(true)), ([0xCC, 0xFF], .integer(255)),
            ([0xCD, 1, 0], .integer(256)), ([0xCE, 0xFF, 0xFF, 0xFF, 0xFF], .integer(4_294_967_295)),
            ([0xCF, 0, 0, 0, 0, 0, 0, 0, 7], .integer(7)),
            ([0xCF, 255, 255, 255, 255, 255, 255, 255, 255], .unsigned(.max)), ([0xD0, 0x80], .integer(-128)),
            ([0xD1, 0x80, 0], .integer(-32768)), ([0xD2, 0x80, 0, 0, 0], .integer(-2_147_483_648)),
            ([0xD3, 0x80, 0, 0, 0, 0, 0, 0, 0], .integer(.min)), ([0xCA, 0x3F, 0x80, 0, 0], .float(1)),
            ([0xCB, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0], .float(1.5)), ([0xA1, 0x61], .text([0x61])),
            ([0xD9, 1, 0x61], .text([0x61])), ([0xDA, 0, 1, 0x61], .text([0x61])),
            ([0xDB, 0, 0, 0, 1, 0x61], .text([0x61])), ([0xC4, 1, 0xFF], .data([0xFF])),
            ([0xC5, 0, 1, 0xFF], .data([0xFF])), ([0xC6, 0, 0, 0, 0], .data([])), ([0x90], .array([])),
            ([0x92, 1, 0xC0], .array([.integer(1), .null])), ([0xDC, 0, 1, 1], .array([.integer(1)])),
            ([0xDD, 0, 0, 0, 1, 1], .array([.integer(1)])), ([0x80], .map([])),
            ([0x81, 0xA1, 0x61, 1], .map([.init(key: .text([0x61]), value: .integer(1))])),
            ([0xDE, 0, 1, 5, 1], .map([.init(key: .integer(5), value: .integer(1))])), ([0xDF, 0, 0, 0, 0], .map([])),
            ([0xD4, 9, 1], .extended(type: 9, [1])), ([0xC7, 0, 9], .extended(type: 9, [])),
        ] as [([UInt8], MessagePackValue)]
    )
    func values(_ bytes: [UInt8], _ value: MessagePackValue) throws {
        #expect(try MessagePackValue(bytes) == value)
        #expect(try MessagePackValue(value.encoded) == value)
        // Nothing less, nothing more.
        for length in 0..<bytes.count {
            #expect(throws: MessagePackError.self) { try MessagePackValue(Array(bytes[..<length])) }
        }
        #expect(throws: MessagePackError.trailingData(at: bytes.count)) { try MessagePackValue(bytes + [0]) }
    }

    @Test(
        arguments: [
            ([0xC1], .malformed(at: 0)), ([0xA1, 0xFF], .notUnicode(at: 1)),
            ([0x82, 0xA1, 0x61, 1, 0xA1, 0x61, 2], .duplicateKey(at: 4)),
            // The same name as text and as bytes, the same number in two lengths.
            ([0x82, 0xA1, 0x61, 1, 0xC4, 1, 0x61, 2], .duplicateKey(at: 4)),
            ([0x82, 1, 1, 0xCC, 1, 2], .duplicateKey(at: 3)), ([0x81, 0xC0, 1], .oddKey(at: 1)),
            ([0x81, 0x90, 1], .oddKey(at: 1)), (Array(repeating: 0x91, count: 17), .tooDeep),
            // What is announced and not there takes no memory.
            ([0xDD, 255, 255, 255, 255], .malformed(at: 5)), ([0xDB, 255, 255, 255, 255, 0x61], .malformed(at: 5)),
            ([0xDF, 255, 255, 255, 255], .malformed(at: 5)), ([0xC9, 255, 255, 255, 255, 1], .malformed(at: 6)),
        ] as [([UInt8], MessagePackError)]
    )
    func refused(_ bytes: [UInt8], _ error: MessagePackError) {
        #expect(throws: error) { try MessagePackValue(bytes) }
    }

    @Test func depthAndSizeAreBounded() throws {
        _ = try MessagePackValue(Array(repeating: 0x91, count: 16) + [0])
        #expect(throws: MessagePackError.tooLarge) {
            try MessagePackValue([UInt8](repeating: 0, count: MessagePackValue.maximumBytes + 1))
        }
    }

    @Test func timestamps() {
        func time(_ bytes: [UInt8]) -> Int64? { MessagePackValue.extended(type: -1, bytes).time?.milliseconds }
        #expect(time([0x65, 0x53, 0xF1, 0x00]) == 1_700_000_000_000)
        // 123 ms: 123000000 ns in the upper 30 bits, the seconds in the lower 34.
        let packed = UInt64(123_000_000) << 34 | 1_700_000_000
        #expect(time((0..<8).reversed().map { UInt8(truncatingIfNeeded: packed >> (8 * $0)) }) == 1_700_000_000_123)
        #expect(time([0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8)) == -1000)
        #expect(time([0xFF, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 8)) == nil)
        #expect(time([0, 0, 0, 0, 0x7F] + [UInt8](repeating: 0xFF, count: 7)) == .max)
        #expect(time([1, 2, 3]) == nil)
        #expect(MessagePackValue.extended(type: 1, [0, 0, 0, 1]).time == nil)
    }

    @Test func jsonThereAndBack() throws {
        let text = #"{"a":[1,-7,1.5,true,null,"é"],"b":{"c":{}}}"#
        let value = try MessagePackValue(json: Array(text.utf8))
        #expect(String(decoding: try MessagePackValue(value.encoded).json, as: UTF8.self) == text)
    }
}

import PortcullisCore
import PortcullisWire
import Testing

@Suite struct FrameWriterTests {
    @Test(arguments: [0, 1, 2, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001])
    func whatIsWrittenIsRead(_ length: Int) {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for mask in [nil, 0, 0x0403_0201, 0xFFEE_DDCC] as [UInt32?] {
            let two: [UInt8] = [1, 2]
            let reader = FrameReader(mask == nil ? .client : .server)
            var buffer: [UInt8] = []
            FrameWriter.append(.binary, payload.span, mask: mask, to: &buffer)
            FrameWriter.append(.text, Array("caf\u{e9}".utf8).span, mask: mask, to: &buffer)
            FrameWriter.appendPing(payload.span, mask: mask, to: &buffer)
            FrameWriter.appendPong(two.span, mask: mask, to: &buffer)
            FrameWriter.appendClose(.expired, mask: mask, to: &buffer)
            let expected: [FrameStep] = [
                .message(.binary, payload), .message(.text, Array("caf\u{e9}".utf8)), .ping(Array(payload.prefix(125))),
                .pong([1, 2]),
                .close(code: 4401, reason: Array("expired".utf8)),
            ]
            #expect(steps(buffer, reader) == expected)
        }
    }

    @Test(arguments: [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
    func aFrameOfItsOwnHoldsNoMore(_ length: Int) {
        let payload = [UInt8](repeating: 7, count: length)
        var expected: [UInt8] = []
        FrameWriter.append(.binary, payload.span, to: &expected)
        let frame = FrameWriter.frame(.binary, payload.span)
        #expect(frame == expected)
        #expect(frame.capacity <= length + max(64, length / 50))
    }

    @Test func theBytesThemselves() {
        var buffer: [UInt8] = [9]
        FrameWriter.append(.text, Array("Hello".utf8).span, to: &buffer)
        #expect(buffer == [9, 0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
        buffer = []
        FrameWriter.append(.text, Array("Hello".utf8).span, mask: 0x3D21_FA37, to: &buffer)
        #expect(buffer == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
        buffer = []
        let text: [UInt8] = [1]
        FrameWriter.appendClose(code: nil, reason: text.span, to: &buffer)
        FrameWriter.appendClose(code: 1006, reason: text.span, to: &buffer)
        FrameWriter.appendClose(.originForbidden, to: &buffer)
        #expect(buffer == [0x88, 0, 0x88, 0, 0x88, 0])
    }

    @Test func aReasonIsCutBetweenCharacters() {
        for (text, kept) in [
            (String(repeating: "a", count: 123), 123), (String(repeating: "a", count: 124), 123),
            (String(repeating: "a", count: 122) + "\u{e9}", 122), (String(repeating: "a", count: 121) + "\u{e9}", 123),
            (String(repeating: "\u{20AC}", count: 60), 123), (String(repeating: "\u{1F6AA}", count: 60), 120),
        ] {
            var buffer: [UInt8] = []
            FrameWriter.appendClose(code: 4000, reason: Array(text.utf8).span, to: &buffer)
            #expect(steps(buffer, FrameReader(.client)) == [.close(code: 4000, reason: Array(text.utf8.prefix(kept)))])
        }
    }

    @Test(arguments: Outcome.allCases)
    func everyOutcomeCanBeSent(_ outcome: Outcome) {
        var buffer: [UInt8] = []
        FrameWriter.appendClose(outcome, to: &buffer)
        let reason = outcome.row.closeCode == nil ? [] : Array(outcome.rawValue.utf8)
        #expect(steps(buffer, FrameReader(.client)) == [.close(code: outcome.row.closeCode, reason: reason)])
    }
}

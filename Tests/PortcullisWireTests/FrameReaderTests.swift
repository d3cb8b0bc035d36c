import PortcullisCore
import PortcullisWire
import TestKit
import Testing

@Suite struct FrameReaderTests {
    static func message(_ text: String) -> FrameStep { .message(.text, Array(text.utf8)) }

    /// The examples of RFC 6455, section 5.7.
    @Test func theFramesOfTheRFC() {
        let client = FrameReader(.client)
        #expect(steps([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], client) == [Self.message("Hello")])
        #expect(steps([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [Self.message("Hello")])
        #expect(steps([0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], client) == [Self.message("Hello")])
        #expect(steps([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], client) == [.ping(Array("Hello".utf8))])
        #expect(
            steps([0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [.pong(Array("Hello".utf8))]
        )
    }

    static let transcripts: [([UInt8], [FrameStep])] = [
        ([], []),
        (frame(0x81, ""), [message("")]),
        (frame(0x82, [0xFF, 0x00]), [.message(.binary, [0xFF, 0x00])]),
        (frame(0x81, "a") + frame(0x82, [1]) + frame(0x81, "b"), [message("a"), .message(.binary, [1]), message("b")]),
        (frame(0x01, "a") + frame(0x00, "b") + frame(0x80, "c"), [message("abc")]),
        (frame(0x01, "") + frame(0x80, ""), [message("")]),
        (
            frame(0x02, [1]) + frame(0x89, "p") + frame(0x8A, "") + frame(0x80, [2]),
            [.ping([0x70]), .pong([]), .message(.binary, [1, 2])]
        ),
        (frame(0x01, "x") + frame(0x88, [0x03, 0xE8]) + frame(0x80, "y"), [.close(code: 1000, reason: [])]),
        (frame(0x81, "\u{20AC}\u{10FFFF}"), [message("\u{20AC}\u{10FFFF}")]),
        (frame(0x01, [0xE2]) + frame(0x00, [0x82]) + frame(0x80, [0xAC]), [message("\u{20AC}")]),
        (frame(0x01, [0xE2]) + frame(0x80, [0x82]), [.failed(.invalidPayload)]),
        (frame(0x81, [0xE2, 0x82]), [.failed(.invalidPayload)]),
        (frame(0x81, [0xC0, 0x80]), [.failed(.invalidPayload)]),
        (frame(0x81, [0xED, 0xA0, 0x80]), [.failed(.invalidPayload)]),
        (frame(0x01, [0xFF]) + frame(0xF0, ""), [.failed(.invalidPayload)]),
        (frame(0x88, ""), [.close(code: nil, reason: [])]),
        (
            frame(0x88, [0x03, 0xE9] + Array("bye".utf8)) + frame(0x81, "late"),
            [.close(code: 1001, reason: Array("bye".utf8))]
        ),
        (frame(0x88, [0x03]), [.failed(.protocolError)]),
        (frame(0x88, [0x03, 0xE8, 0xFF]), [.failed(.invalidPayload)]),
        (frame(0x88, [0x03, 0xE8, 0xE2, 0x82]), [.failed(.invalidPayload)]),
        (frame(0x82, [UInt8](repeating: 7, count: 125)), [.message(.binary, [UInt8](repeating: 7, count: 125))]),
        (frame(0x82, [UInt8](repeating: 7, count: 126)), [.message(.binary, [UInt8](repeating: 7, count: 126))]),
        (frame(0x89, [UInt8](repeating: 7, count: 125)), [.ping([UInt8](repeating: 7, count: 125))]),
        // The order of fragments.
        (frame(0x80, ""), [.failed(.protocolError)]),
        (frame(0x00, "a"), [.failed(.protocolError)]),
        (frame(0x01, "a") + frame(0x81, "b"), [.failed(.protocolError)]),
        (frame(0x01, "a") + frame(0x02, "b"), [.failed(.protocolError)]),
        (frame(0x01, "a") + frame(0x80, "b") + frame(0x80, "c"), [message("ab"), .failed(.protocolError)]),
        // Control frames.
        (frame(0x09, "a"), [.failed(.protocolError)]),
        (frame(0x08, ""), [.failed(.protocolError)]),
        (frame(0x89, [UInt8](repeating: 7, count: 126)), [.failed(.protocolError)]),
        (frame(0x8A, [], length: [127, 0, 0, 0, 0, 0, 1, 0, 0]), [.failed(.protocolError)]),
        // Lengths: the shortest form, and no sign bit.
        (frame(0x82, [], length: [126, 0, 125]), [.failed(.protocolError)]),
        (frame(0x82, [], length: [127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), [.failed(.protocolError)]),
        (frame(0x82, [], length: [127, 0x80, 0, 0, 0, 0, 0, 0, 0]), [.failed(.protocolError)]),
        (frame(0x82, [], length: [127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), [.failed(.messageTooBig)]),
        (
            frame(0x02, [1]) + frame(0x80, [], length: [127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            [.failed(.messageTooBig)]
        ),
        // The mask.
        (frame(0x81, "a", mask: nil), [.failed(.protocolError)]),
        (frame(0x81, "", mask: nil), [.failed(.protocolError)]),
        (frame(0x81, "a", mask: [0, 0, 0, 0]), [message("a")]),
    ]

    @Test(arguments: transcripts)
    func aTranscript(_ bytes: [UInt8], _ expected: [FrameStep]) {
        #expect(steps(bytes) == expected)
    }

    @Test func reservedBitsAndOpcodesAreRefused() {
        for bit in [0x10, 0x20, 0x40] as [UInt8] {
            for opcode in [0x81, 0x82, 0x88, 0x89, 0x8A, 0x80, 0x01] as [UInt8] {
                #expect(steps([opcode | bit]) == [.failed(.protocolError)])
            }
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8] {
            #expect(steps([0x80 | opcode]) == [.failed(.protocolError)])
            #expect(steps([opcode]) == [.failed(.protocolError)])
        }
    }

    /// Section 7.4, and the registry.
    @Test func closeCodes() {
        let good = Set(UInt16(1000)...1003).union(1007...1014).union(3000...4999)
        for code in UInt16.min...UInt16.max {
            let said = steps(frame(0x88, [UInt8(code >> 8), UInt8(code & 0xFF)]))
            let expected: FrameStep = good.contains(code) ? .close(code: code, reason: []) : .failed(.protocolError)
            if said != [expected] { Issue.record("\(code)") }
        }
    }

    @Test func theMessageLimit() {
        let reader = FrameReader(limits: MessageLimits(bytes: 10))
        let ten = [UInt8](repeating: 1, count: 10)
        #expect(steps(frame(0x82, ten), reader) == [.message(.binary, ten)])
        #expect(
            steps(frame(0x02, Array(ten[..<4])) + frame(0x80, Array(ten[4...])), reader) == [.message(.binary, ten)]
        )
        #expect(steps(frame(0x82, ten + [1]), reader) == [.failed(.messageTooBig)])
        #expect(steps(frame(0x02, ten) + frame(0x00, "") + frame(0x80, "a"), reader) == [.failed(.messageTooBig)])
        // On the announced length alone, whatever else is still to come.
        #expect(steps([0x82, 0x8B], reader) == [.failed(.messageTooBig)])
        #expect(steps([0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0, 0, 0], reader) == [.failed(.messageTooBig)])
        // Control frames are no part of it.
        #expect(
            steps(frame(0x02, ten) + frame(0x89, ten + ten) + frame(0x80, ""), reader) == [
                .ping(ten + ten), .message(.binary, ten),
            ]
        )
    }

    @Test func theFragmentLimits() {
        let rest = { Array(repeatElement(frame(0x00, "a"), count: $0).joined()) }
        #expect(
            steps(frame(0x01, "a") + rest(1022) + frame(0x80, "a")) == [
                Self.message(String(repeating: "a", count: 1024))
            ]
        )
        #expect(steps(frame(0x01, "a") + rest(1023) + frame(0x80, "a")) == [.failed(.policyViolation)])
        let empty = { Array(repeatElement(frame(0x00, ""), count: $0).joined()) }
        #expect(steps(frame(0x01, "") + empty(100) + frame(0x80, "a")) == [Self.message("a")])
        #expect(steps(frame(0x01, "a") + empty(101)) == [.failed(.policyViolation)])
        // They are counted anew for every message.
        let message = frame(0x01, "") + empty(99) + frame(0x80, "")
        #expect(steps(message + message) == [Self.message(""), Self.message("")])
    }

    @Test func invalidTextIsSeenBeforeItsEnd() {
        let long = frame(0x81, [0x61, 0xFF] + [UInt8](repeating: 0x61, count: 1000))
        #expect(steps(Array(long.prefix(10))) == [.failed(.invalidPayload)])
        #expect(steps(frame(0x01, [0x61, 0xF5])) == [.failed(.invalidPayload)])
    }

    @Test func aClientTakesNoMask() {
        let client = FrameReader(.client)
        #expect(steps(frame(0x81, "a"), client) == [.failed(.protocolError)])
        #expect(steps(frame(0x81, "a", mask: nil), client) == [Self.message("a")])
        #expect(steps([0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0], client) == [])
    }

    @Test func nothingIsKeptBetweenMessages() {
        #expect(steps([frame(0x81, "a") + frame(0x89, "")]).idle)
        #expect(!steps([frame(0x01, "a")]).idle)
        #expect(!steps([[0x81]]).idle)
        #expect(!steps([Array(frame(0x89, "abc").dropLast())]).idle)
        #expect(steps([frame(0x01, "a"), frame(0x89, "b"), frame(0x80, "c")]).idle)
        #expect(steps([[0x81], Array(frame(0x81, "abc").dropFirst())]).idle)
        #expect(steps([frame(0x01, "a"), frame(0x88, "")]).idle)
        #expect(MemoryLayout<FrameState>.stride <= 24)
    }

    @Test func noCutChangesWhatAConnectionSays() {
        var generator = SeededGenerator(seed: 42)
        for (bytes, expected) in Self.transcripts {
            #expect(steps(bytes.map { [$0] }).steps == expected, "byte by byte: \(bytes)")
            for at in bytes.indices {
                #expect(steps([Array(bytes[..<at]), Array(bytes[at...])]).steps == expected, "cut at \(at): \(bytes)")
            }
            for _ in 0..<20 { #expect(steps(cut(bytes, using: &generator)).steps == expected) }
        }
        for _ in 0..<200 {
            var bytes: [UInt8] = []
            var expected: [FrameStep] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let payload = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                let cuts = (0..<Int.random(in: 0...3, using: &generator)).map { _ in
                    Int.random(in: 0...payload.count, using: &generator)
                }
                let edges = [0] + cuts.sorted() + [payload.count]
                for index in 1..<edges.count {
                    let first: UInt8 = (index == 1 ? 2 : 0) | (index == edges.count - 1 ? 0x80 : 0)
                    let mask = (0..<4).map { _ in UInt8.random(in: 0...255, using: &generator) }
                    bytes += frame(first, Array(payload[edges[index - 1]..<edges[index]]), mask: mask)
                    // Between two fragments, where a ping comes before its message.
                    if index < edges.count - 1, Bool.random(using: &generator) {
                        bytes += frame(0x89, [UInt8(index)], mask: mask)
                        expected.append(.ping([UInt8(index)]))
                    }
                }
                expected.append(.message(.binary, payload))
            }
            #expect(steps(bytes) == expected)
            #expect(steps(cut(bytes, using: &generator)).steps == expected)
        }
    }
}

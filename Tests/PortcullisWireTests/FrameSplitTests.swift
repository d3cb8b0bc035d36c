import PortcullisCore
import PortcullisWire
import TestKit
import Testing

/// What a connection says does not depend on how its bytes were cut: streams of all kinds of frames, good ones and broken ones.
@Suite struct FrameSplitTests {
    private static let limits = MessageLimits(bytes: 400, fragments: 6, emptyContinuations: 2)

    private static let texts: [[UInt8]] = [
        [], Array("a".utf8), Array("\u{E9}\u{20AC}\u{10FFFF}".utf8), [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xFF],
        Array(String(repeating: "\u{10348}", count: 40).utf8),
    ]

    private func payload(using random: inout SeededGenerator) -> [UInt8] {
        if Bool.random(using: &random) { return Self.texts.randomElement(using: &random) ?? [] }
        let length = [0, 1, 5, 125, 126, 300].randomElement(using: &random) ?? 0
        return (0..<length).map { _ in UInt8.random(in: 0...0x7F, using: &random) }
    }

    /// A few frames: mostly a message in fragments with control frames between them, now and then something that is not allowed.
    private func stream(using random: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let fragments = Int.random(in: 1...8, using: &random)
            let kind: UInt8 = Bool.random(using: &random) ? 1 : 2
            for index in 0..<fragments {
                let final: UInt8 = index == fragments - 1 ? 0x80 : 0
                bytes += frame((index == 0 ? kind : 0) | final, payload(using: &random))
                switch Int.random(in: 0..<12, using: &random) {
                case 0: bytes += frame(0x89, payload(using: &random))
                case 1: bytes += frame(0x8A, payload(using: &random))
                case 2: bytes += frame(0x88, [0x03, 0xE8] + payload(using: &random))
                case 3: bytes += frame(UInt8.random(in: .min ... .max, using: &random), payload(using: &random))
                case 4: bytes += frame(0x82, [1], mask: nil)
                default: break
                }
            }
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: .min ... .max, using: &random)
        }
        return bytes
    }

    private func name(_ step: FrameStep) -> String {
        switch step {
        case .message(let kind, _): "\(kind)"
        case .ping: "ping"
        case .pong: "pong"
        case .close: "close"
        case .failed(let outcome): "\(outcome)"
        case .needMore: "needMore"
        }
    }

    @Test func anyCutSaysTheSame() {
        let reader = FrameReader(limits: Self.limits)
        var random = SeededGenerator(seed: 77)
        var said: Set<String> = []
        for round in 0..<1500 {
            let bytes = stream(using: &random)
            let whole = steps([bytes], reader)
            said.formUnion(whole.steps.map(name))
            for cut in [bytes.map { [$0] }, cut(bytes, using: &random), cut(bytes, using: &random)] {
                let again = steps(cut, reader)
                guard again.steps == whole.steps, again.idle == whole.idle else {
                    Issue.record("round \(round): \(bytes) cut as \(cut.map(\.count))")
                    return
                }
            }
        }
        // All there is was among them.
        #expect(
            said == [
                "text", "binary", "ping", "pong", "close", "protocolError", "invalidPayload", "messageTooBig",
                "policyViolation",
            ]
        )
    }
}

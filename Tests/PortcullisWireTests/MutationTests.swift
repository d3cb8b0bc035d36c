import PortcullisCore
import PortcullisWire
import TestKit
import Testing

/// Fuzzing with fixed seeds: nothing that a peer sends traps, and no cut of it changes what it says.
@Suite struct MutationTests {
    static let seeds: [[UInt8]] = [
        Handshake(
            "/ws/doc%3A42?ticket=a%20b&access_token=c",
            "Origin: https://app.test",
            "Cookie: a=\"b\"; session_id=s; jwt=d"
        ).bytes,
        Handshake(
            "/ws",
            "Authorization: Bearer a.b.c",
            "Sec-WebSocket-Protocol: portcullis.v1, base64url.bearer.portcullis.YQ"
        ).bytes,
        Handshake("/ws", "Content-Length: 0", "Transfer-Encoding: chunked", "X-Forwarded-For: ::1").bytes,
        Handshake().with("Host", "[2001:db8::1]:8443").with("Connection", "keep-alive ,\tUpgrade, ,").bytes,
    ]

    static func mutate(_ bytes: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        let telling: [UInt8] = [0, 9, 10, 13, 32, 34, 37, 44, 47, 58, 59, 61, 63, 91, 93, 0x7F, 0x80, 0xFF]
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            guard !bytes.isEmpty else { break }
            let at = Int.random(in: bytes.indices, using: &generator)
            let end = min(bytes.count, at + Int.random(in: 1...24, using: &generator))
            switch Int.random(in: 0...5, using: &generator) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            case 2: bytes.insert(telling.randomElement(using: &generator) ?? 0, at: at)
            case 3: bytes.removeSubrange(at..<end)
            case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
            default: bytes[at] = telling.randomElement(using: &generator) ?? 0
            }
        }
        return bytes
    }

    @Test func heads() throws {
        var generator = SeededGenerator(seed: 1)
        var head = RequestHead()
        var accepted = 0
        let accept = HandshakeResponseTests.accept
        let source = CredentialSource(tokens: [.header, .subprotocol, .cookie, .query], tokenCookie: Array("jwt".utf8))
        let policy = try #require(OriginPolicy(["https://*.app.test"]))
        for round in 0..<12_000 {
            let bytes = Self.mutate(Self.seeds[round % Self.seeds.count], using: &generator)
            let whole = head.parse(bytes.span)
            let prefix = head.parse(bytes.span.extracting(first: Int.random(in: 0...bytes.count, using: &generator)))
            #expect(prefix == .incomplete || prefix == whole)
            guard case .complete(let length) = whole else { continue }
            #expect(head.parse(bytes.span) == whole)
            #expect(length <= bytes.count)
            guard let request = try? UpgradeRequest(head, bytes.span) else { continue }
            accepted += 1
            _ = try? source.credential(of: request, head, bytes.span)
            _ = policy.verdict(on: request, bytes.span, secure: round % 2 == 0)
            let chosen = Subprotocol.choose(head, bytes.span)
            var answer: [UInt8] = []
            HandshakeResponse.appendUpgrade(
                accept: accept.span,
                subprotocol: chosen,
                bytes.span,
                to: &answer
            )
            // Whatever is echoed, an answer has as many lines as it should.
            #expect(answer.count { $0 == 0x0A } == (chosen.echoed == nil ? 5 : 6))
        }
        #expect(accepted > 100)
    }

    @Test func frames() {
        var generator = SeededGenerator(seed: 2)
        let limits = MessageLimits(bytes: 400, fragments: 8, emptyContinuations: 2)
        var said = 0
        for round in 0..<12_000 {
            let transcript = FrameReaderTests.transcripts[round % FrameReaderTests.transcripts.count].0
            let other = FrameReaderTests.transcripts.randomElement(using: &generator)?.0 ?? []
            let bytes = Self.mutate(transcript + other, using: &generator)
            let reader = FrameReader(round % 8 == 0 ? .client : .server, limits: limits)
            let whole = steps(bytes, reader)
            #expect(steps(cut(bytes, using: &generator), reader).steps == whole)
            #expect(whole.allSatisfy { $0.payloadCount <= 400 })
            said += whole.count
        }
        #expect(said > 1000)
    }
}

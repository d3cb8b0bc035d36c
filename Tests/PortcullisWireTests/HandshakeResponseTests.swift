import Foundation
import PortcullisCore
import PortcullisWire
import Testing

@Suite struct HandshakeResponseTests {
    /// The example of RFC 6455, section 1.3.
    static let accept: [UInt8] = [
        0xB3, 0x7A, 0x4F, 0x2C, 0xC0, 0x62, 0x4F, 0x16, 0x90, 0xF6, 0x46, 0x06, 0xCF, 0x38, 0x59, 0x45, 0xB2, 0xBE,
        0xC4, 0xEA,
    ]

    @Test func theAnswerOfTheRFC() throws {
        let bytes = Handshake("/ws", "Sec-WebSocket-Protocol: portcullis.v1").bytes
        var head = RequestHead()
        #expect(head.parse(bytes.span) == .complete(length: bytes.count))
        let request = try UpgradeRequest(head, bytes.span)
        var buffer: [UInt8] = []
        HandshakeResponse.appendAcceptInput(key: request.key, bytes.span, to: &buffer)
        #expect(buffer == Array("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
        buffer = Array("before".utf8)
        let chosen = Subprotocol.choose(head, bytes.span)
        HandshakeResponse.appendUpgrade(accept: Self.accept.span, subprotocol: chosen, bytes.span, to: &buffer)
        let expected = """
            beforeHTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
            Sec-WebSocket-Protocol: portcullis.v1\r
            \r

            """
        #expect(String(decoding: buffer, as: UTF8.self) == expected)
        buffer = []
        HandshakeResponse.appendUpgrade(accept: Self.accept.span, subprotocol: .unnamed, bytes.span, to: &buffer)
        #expect(!String(decoding: buffer, as: UTF8.self).contains("Protocol:"))
        #expect(String(decoding: buffer, as: UTF8.self).hasSuffix("Oo=\r\n\r\n"))
    }

    @Test(arguments: Outcome.allCases)
    func aRefusalIsAProblemDocument(_ outcome: Outcome) throws {
        var buffer: [UInt8] = []
        HandshakeResponse.appendRefusal(outcome, requestID: Array("r-1".utf8), retryAfter: 7, to: &buffer)
        let text = String(decoding: buffer, as: UTF8.self)
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        let lines = parts[0].components(separatedBy: "\r\n")
        let status = outcome.row.status
        #expect(lines[0].hasPrefix("HTTP/1.1 \(status) "))
        #expect(!lines[0].hasSuffix("Refused"))
        #expect(lines.contains("Connection: close"))
        #expect(lines.contains("Content-Type: application/problem+json"))
        #expect(lines.contains("Content-Length: \(parts[1].utf8.count)"))
        #expect(lines.contains("Retry-After: 7") == (status == 429 || status == 503))
        #expect(lines.contains("Upgrade: websocket") == (status == 426))
        #expect(lines.contains("Sec-WebSocket-Version: 13") == (status == 426))
        let challenge = lines.filter { $0.hasPrefix("WWW-Authenticate: ") }
        #expect(challenge.count == (status == 401 ? 1 : 0))
        if status == 401 {
            let expected =
                outcome == .missingCredential
                ? "Bearer realm=\"portcullis\""
                : "Bearer error=\"invalid_token\", error_description=\"\(outcome.row.title)\""
            #expect(challenge.first == "WWW-Authenticate: " + expected)
        }
        let problem = try #require(try JSONSerialization.jsonObject(with: Data(parts[1].utf8)) as? [String: Any])
        #expect(problem.keys.sorted() == ["code", "detail", "request_id", "status", "title", "type"])
        #expect(problem["type"] as? String == "urn:portcullis:\(outcome.rawValue)")
        #expect(problem["title"] as? String == outcome.row.title)
        #expect(problem["detail"] as? String == outcome.row.title)
        #expect(problem["status"] as? Int == status)
        #expect(problem["code"] as? String == outcome.rawValue)
        #expect(problem["request_id"] as? String == "r-1")
    }

    @Test func aRequestIDCannotBreakTheDocument() {
        var buffer: [UInt8] = []
        HandshakeResponse.appendRefusal(
            .expired,
            requestID: Array("a\"\r\n\\b\u{e9}".utf8),
            retryAfter: -5,
            to: &buffer
        )
        #expect(String(decoding: buffer, as: UTF8.self).hasSuffix("\"request_id\":\"ab\"}"))
    }

    @Test(arguments: [
        (RefusalStyle.auto, Outcome.expired, true, OriginPolicy.Verdict.acceptable, true),
        (.auto, .expired, true, .absent, false),
        (.auto, .expired, true, .forbidden, false), (.auto, .expired, false, .acceptable, false),
        (.auto, .originForbidden, true, .acceptable, false), (.auto, .cannotVouch, true, .acceptable, true),
        (.http, .expired, true, .acceptable, false), (.close, .expired, false, .absent, true),
        (.close, .expired, false, .acceptable, true),
        (.close, .expired, true, .forbidden, false), (.close, .headersTooLarge, true, .acceptable, false),
    ])
    func whichWayARefusalIsSpoken(
        _ style: RefusalStyle,
        _ outcome: Outcome,
        _ version1: Bool,
        _ origin: OriginPolicy.Verdict,
        _ opens: Bool
    ) throws {
        let handshake = version1 ? Handshake("/ws", "Sec-WebSocket-Protocol: x, portcullis.v1") : Handshake()
        #expect(style.opensAndCloses(outcome, try upgrade(handshake.bytes).get(), origin) == opens)
    }
}

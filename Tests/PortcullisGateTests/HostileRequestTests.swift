import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisWire
import TestKit
import Testing

/// Requests that other servers have been fooled by, at the socket of a gate: each is answered once, never by an upgrade, and what stands
/// behind it is no request.
@Suite(.serialized, .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct HostileRequestTests {
    let test: GateUnderTest
    let token: String

    init() throws {
        // Requests that never become whole are waited for, all at once.
        test = try GateUnderTest { $0.handshake = Milliseconds(1000) }
        token = try test.token("alice", ["permissions": #"{"doc:1":"editor"}"#])
    }

    /// A handshake that the gate would take; lines stand in front of its others.
    private func handshake(_ path: String = "/ws", _ line: [UInt8] = []) -> [UInt8] {
        let lines = [
            "Host: \(test.gate.endpoint)", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Authorization: Bearer \(token)", "", "",
        ]
        let start = Array("GET \(path) HTTP/1.1\r\n".utf8)
        return start + line + Array(lines.joined(separator: "\r\n").utf8)
    }

    /// The status that the pure reader gives to the bytes.
    private func expected(_ bytes: [UInt8]) -> Int {
        var head = RequestHead()
        switch head.parse(bytes.span) {
        case .incomplete: return 408
        case .refused(let refusal): return refusal.outcome.row.status
        case .complete:
            do throws(Refusal) {
                _ = try UpgradeRequest(head, bytes.span)
                return 101
            } catch {
                return error.outcome.row.status
            }
        }
    }

    /// What is wrong with an answer that should be one refusal, and nothing else.
    private func fault(_ answer: RawExchange.Answer, _ expected: Int) -> String? {
        guard case .bytes(let bytes) = answer else { return "\(answer)" }
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return "no whole head: \(bytes.count) B" }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first, first.hasPrefix("HTTP/1.1 \(expected) ") else {
            return "not \(expected) but \(lines.first ?? "nothing")"
        }
        guard lines.contains("Connection: close") else { return "it would be kept" }
        let lengths = lines.compactMap { $0.hasPrefix("Content-Length: ") ? Int($0.dropFirst(16)) : nil }
        guard lengths == [bytes.count - end.upperBound] else { return "there is something behind the answer" }
        return nil
    }

    private func check(_ requests: [HostileRequest]) throws {
        let answers = try RawExchange.run(test.gate.endpoint, requests.map(\.bytes))
        for (request, answer) in zip(requests, answers) {
            let status = expected(request.bytes)
            if status == 101 { Issue.record("\(request.name): the reader takes it") }
            if let fault = fault(answer, status) { Issue.record("\(request.name): \(fault)") }
        }
        // It was nothing to the gate.
        #expect(try test.connect("bob").status == 101)
    }

    @Test func requestsOfTheLLHTTPSuite() throws {
        let requests = try HostileRequest.llhttp()
        #expect(requests.count == 162)
        try check(requests)
    }

    /// A reader that ended a request where we do not would find a handshake behind it.
    @Test func handshakesBehindRequestsOfTheLLHTTPSuite() throws {
        try check(
            try HostileRequest.llhttp().flatMap { request in
                [[], Array("\r\n\r\n".utf8), Array("0\r\n\r\n".utf8)].map {
                    HostileRequest(name: request.name, bytes: request.bytes + $0 + handshake())
                }
            }
        )
    }

    /// In a handshake that is good otherwise.
    @Test func smuggledLines() throws {
        let lines = try HostileRequest.smuggledLines()
        #expect(lines.count == 1768)
        try check(lines.map { HostileRequest(name: $0.name, bytes: handshake("/ws", $0.bytes + [0x0D, 0x0A])) })
    }

    /// Who believes the line takes the chunks for a body and finds a handshake behind them; who believes the length takes the handshake for
    /// the body.
    @Test func handshakesBehindSmuggledLines() throws {
        let smuggled = handshake()
        let length = Array("Content-Length: \(smuggled.count + 5)\r\n".utf8)
        try check(
            try HostileRequest.smuggledLines().map {
                let front = handshake("/ws", length + $0.bytes + [0x0D, 0x0A])
                return HostileRequest(name: $0.name, bytes: front + Array("0\r\n\r\n".utf8) + smuggled)
            }
        )
    }

    /// What stands behind a handshake that is taken are frames, also where they must wait for Redis: a request is a broken one.
    @Test(arguments: ["/ws", "/ws/doc:1"]) func requestsBehindAHandshake(_ path: String) throws {
        let front = handshake(path)
        // Nothing behind the handshake would be nothing wrong.
        let behind =
            try HostileRequest.llhttp().filter { !$0.bytes.isEmpty }.map(\.bytes) + [handshake(), handshake("/")]
        let answers = try RawExchange.run(test.gate.endpoint, behind.map { front + $0 })
        for (request, answer) in zip(behind, answers) {
            let start = String(decoding: request.prefix(40), as: UTF8.self)
            guard case .bytes(let bytes) = answer, let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
                Issue.record("\(start): \(answer)")
                continue
            }
            #expect(bytes.starts(with: Array("HTTP/1.1 101 ".utf8)))
            // A close frame of 1002, and nothing behind it.
            let frames = Array(bytes[end.upperBound...])
            #expect(frames == [0x88, 16, 0x03, 0xEA] + Array("protocol_error".utf8), "\(start)")
        }
    }
}

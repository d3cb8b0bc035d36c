import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

/// Who is let in, and what those hear who are not.
@Suite(.serialized) struct HandshakeTests {
    private static let v1 = "Sec-WebSocket-Protocol: portcullis.v1"

    private func code(_ peer: WebSocketPeer) throws -> String {
        let problem = try JSONSerialization.jsonObject(with: Data(peer.body.utf8)) as? [String: Any]
        #expect(problem?["status"] as? Int == peer.status)
        #expect((problem?["request_id"] as? String)?.isEmpty == false)
        return problem?["code"] as? String ?? ""
    }

    @Test func admitsByHeaderAndBySubprotocol() throws {
        let test = try GateUnderTest()
        let token = try test.token("alice", ["sid": #""s1""#])
        let header = try WebSocketPeer(test.gate.endpoint, headers: ["authorization: bearer \(token)", Self.v1])
        #expect(header.status == 101)
        // RFC 6455, section 1.3: the example's key and its answer.
        #expect(header.head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        #expect(try header.receive(type: "welcome")["session"] as? String == "s1")
        let encoded = Data(token.utf8).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
        let browser = try WebSocketPeer(
            test.gate.endpoint,
            headers: ["Sec-WebSocket-Protocol: portcullis.v1, base64url.bearer.portcullis.\(encoded)"]
        )
        #expect(browser.status == 101)
        #expect(browser.head.contains("Sec-WebSocket-Protocol: portcullis.v1"))
        #expect(!browser.head.contains("bearer"))
        // The connection's name is its own.
        let first = try #require(try browser.receive(type: "welcome")["connection"] as? String)
        let third = try test.connect("alice")
        #expect(try third.receive(type: "welcome")["connection"] as? String != first)
    }

    @Test func refusesWithTheCodesOfTheContract() throws {
        let test = try GateUnderTest()
        let good = try test.token("alice")
        let now = Date().timeIntervalSince1970
        func refused(_ headers: [String], path: String = "/ws") throws -> String {
            let peer = try WebSocketPeer(test.gate.endpoint, path: path, headers: headers)
            return "\(peer.status) \(try code(peer))"
        }
        func bearer(_ token: String) -> [String] { ["Authorization: Bearer \(token)"] }
        #expect(try refused([]) == "401 missing_credential")
        #expect(try refused(bearer("x.y.z")) == "401 malformed_token")
        #expect(try refused(bearer(good.dropLast(4) + "AAAA")) == "401 bad_signature")
        #expect(try refused(bearer(test.token("alice", issued: now - 700))) == "401 expired")
        #expect(try refused(bearer(test.token("alice", ["nbf": "\(now + 120)"]))) == "401 not_yet_valid")
        #expect(try refused(bearer(test.token("alice", life: 90_000))) == "401 life_too_long")
        #expect(try refused(bearer(good) + bearer(good)) == "400 ambiguous_credential")
        #expect(try refused(bearer(good), path: "/elsewhere") == "404 not_found")
        #expect(try refused(bearer(good), path: "/ws/doc:42") == "403 forbidden_resource")
        #expect(
            try refused(["Cookie: session_id=none", "Origin: http://\(test.gate.endpoint)"]) == "401 unknown_session"
        )
        #expect(try refused(["Cookie: session_id=none", "Origin: http://evil.example"]) == "403 origin_forbidden")
        #expect(try refused(bearer(good) + ["Content-Length: 5"]) == "413 body_forbidden")
        #expect(try refused(["X: " + String(repeating: "x", count: 20_000)]) == "431 headers_too_large")
        let plain = try WebSocketPeer(test.gate.endpoint, raw: "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(plain.status == 426)
        #expect(plain.head.contains("Upgrade: websocket"))
        let post = try WebSocketPeer(test.gate.endpoint, raw: "POST /ws HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(post.status == 400)
    }

    @Test func aPageCanReadItsRefusal() throws {
        let test = try GateUnderTest()
        let origin = "Origin: http://\(test.gate.endpoint)"
        let peer = try WebSocketPeer(test.gate.endpoint, headers: [origin, Self.v1])
        #expect(peer.status == 101)
        let closing = try peer.receive(type: "closing")
        #expect(closing["code"] as? Int == 4401)
        #expect(closing["reconnect"] as? String == "reauthenticate")
        #expect(try peer.receive() == .close(4401, "missing_credential"))
    }

    @Test func admitsBySessionAndClosesWhenItEnds() throws {
        let test = try GateUnderTest()
        func open(_ id: String, path: String = "/ws") throws -> WebSocketPeer {
            let origin = "Origin: http://\(test.gate.endpoint)"
            return try WebSocketPeer(
                test.gate.endpoint,
                path: path,
                headers: ["Cookie: a=b; session_id=\(id)", origin, Self.v1]
            )
        }
        let json = #"{"user_id":"carol","permissions":{"doc:42":"editor"}}"#
        try test.redis.ask("SET", "session:s9", json, "EX", "600")
        let carol = try open("s9", path: "/ws/doc:42")
        let welcome = try carol.receive(type: "welcome")
        #expect(welcome["user"] as? String == "carol")
        #expect(welcome["session"] as? String == "s9")
        #expect(welcome["role"] as? String == "editor")
        try test.redis.ask("DEL", "session:s9")
        #expect(try carol.receiveClose() == .close(4410, "session_ended"))
        // Another user under the same id, a value that is none, a key of another type.
        try test.redis.ask("SET", "session:s9", json)
        let again = try open("s9")
        try test.redis.ask("SET", "session:s9", #"{"user_id":"mallory"}"#)
        #expect(try again.receiveClose() == .close(4410, "session_ended"))
        try test.redis.ask("DEL", "session:s9")
        try test.redis.ask("RPUSH", "session:s9", "x")
        let wrongType = try WebSocketPeer(
            test.gate.endpoint,
            headers: ["Cookie: session_id=s9", "Origin: http://\(test.gate.endpoint)"]
        )
        #expect("\(wrongType.status) \(try code(wrongType))" == "503 store_unavailable")
        // The gate is none the worse for it.
        #expect(try test.connect("alice").status == 101)
        // A session that is revoked by name, and by user.
        try test.redis.ask("SET", "session:s10", json)
        let named = try open("s10")
        _ = try named.receive(type: "welcome")
        try test.publish(#"{"v":1,"type":"revoke","select":{"session":"s10"}}"#)
        #expect(try named.receiveClose() == .close(4410, "revoked"))
    }

    @Test func aTicketOpensOneConnection() throws {
        let test = try GateUnderTest()
        func mint(_ ticket: String, _ value: String) throws {
            let key = Keys().ticket(Identifier(ticket))
            try test.redis.ask("SET", String(decoding: key, as: UTF8.self), value, "EX", "30")
        }
        func open(_ ticket: String, resource: String = "") throws -> WebSocketPeer {
            try WebSocketPeer(test.gate.endpoint, path: "/ws\(resource)?ticket=\(ticket)", headers: [Self.v1])
        }
        let now = Int(Date().timeIntervalSince1970 * 1000)
        try mint("t1", #"{"user":"alice","issued_ms":\#(now),"permissions":{"doc:1":"editor"}}"#)
        let alice = try open("t1", resource: "/doc:1")
        #expect(try alice.receive(type: "welcome")["role"] as? String == "editor")
        let again = try open("t1", resource: "/doc:1")
        #expect("\(again.status) \(try code(again))" == "401 bad_ticket")
        // One for another resource, one without a date, one that is no ticket.
        try mint("t2", #"{"user":"alice","issued_ms":\#(now),"resource":"doc:2","permissions":{"doc:1":"editor"}}"#)
        #expect(try code(open("t2", resource: "/doc:1")) == "forbidden_resource")
        for (ticket, value) in [("t3", #"{"user":"alice"}"#), ("t4", "x"), ("t5", #"{"user":7,"issued_ms":1}"#)] {
            try mint(ticket, value)
            #expect(try code(open(ticket)) == "bad_ticket")
        }
        // Minted before a revocation, it is refused by it.
        try mint("t6", #"{"user":"alice","issued_ms":\#(now - 1000)}"#)
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        #expect(try code(open("t6")) == "revoked")
    }

    @Test func aSessionEndsByItsOwnClock() throws {
        let test = try GateUnderTest()
        try test.redis.ask("SET", "session:s1", #"{"user_id":"carol"}"#, "PX", "3000")
        let origin = "Origin: http://\(test.gate.endpoint)"
        let carol = try WebSocketPeer(test.gate.endpoint, headers: ["Cookie: session_id=s1", origin])
        #expect(try carol.receiveClose() == .close(4401, "expired"))
    }

    @Test func aTokenEndsByItsOwnClock() throws {
        let test = try GateUnderTest()
        let alice = try test.connect("alice", raw: true, token: try test.token("alice", life: 3))
        #expect(alice.status == 101)
        #expect(try alice.receiveClose() == .close(4401, "expired"))
    }

    @Test func readsAHeadInPiecesAndFramesBehindIt() throws {
        let test = try GateUnderTest { $0.relay = .echo }
        let token = try test.token("alice")
        var frame: [UInt8] = []
        FrameWriter.append(.text, Array("early".utf8).span, mask: 7, to: &frame)
        let peer = try WebSocketPeer(test.gate.endpoint, headers: ["Authorization: Bearer \(token)"], behind: frame)
        #expect(try peer.receive() == .text("early"))
        for byte in frame { try peer.send(raw: [byte]) }
        #expect(try peer.receive() == .text("early"))
        try peer.send(raw: [0x81, 0x01, 0x41])
        #expect(try peer.receiveClose() == .close(1002, "protocol_error"))
        #expect(try peer.receive() == .end)
    }
}

import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import TestKit
import Testing

/// Tokens that Redis is asked about, and tokens that come as the first message.
@Suite(.serialized) struct TokenKeyTests {
    private func outcome(_ test: GateUnderTest, _ token: String, path: String = "/ws") throws -> String {
        let peer = try WebSocketPeer(test.gate.endpoint, path: path, headers: ["Authorization: Bearer \(token)"])
        guard peer.status != 101 else { return "101" }
        let problem = try JSONSerialization.jsonObject(with: Data(peer.body.utf8)) as? [String: Any]
        return "\(peer.status) \(problem?["code"] ?? "")"
    }

    private func hash(_ token: String) throws -> String {
        TokenVerifier.hash(Array(token.utf8).span).description
    }

    // MARK: - Shared keys

    @Test func keysThatOtherServicesWriteAreHonoured() throws {
        let test = try GateUnderTest { $0.asksSharedKeys = true }
        let token = try test.token("alice", ["jti": #""t1""#, "ver": "4"])
        let bare = try test.token("alice")
        #expect(try outcome(test, token) == "101")
        #expect(try outcome(test, bare) == "101")
        try test.redis.ask("SET", "revoked:t1", "1")
        #expect(try outcome(test, token) == "401 revoked")
        #expect(try outcome(test, bare) == "101")
        try test.redis.ask("DEL", "revoked:t1")
        try test.redis.ask("SET", "jwt_blacklist:\(hash(bare))", "1")
        #expect(try outcome(test, bare) == "401 revoked")
        #expect(try outcome(test, token) == "101")
        try test.redis.ask("DEL", "jwt_blacklist:\(hash(bare))")
        try test.redis.ask("SET", "token_version:alice", "4")
        #expect(try outcome(test, token) == "101")
        // One that does not say its version is older than any.
        #expect(try outcome(test, bare) == "401 revoked")
        try test.redis.ask("SET", "token_version:alice", "5")
        #expect(try outcome(test, token) == "401 revoked")
        #expect(try outcome(test, test.token("alice", ["version": "5"])) == "101")
        #expect(try outcome(test, test.token("bob")) == "101")
        // What is none, or of another type, admits nobody and hurts nobody else.
        try test.redis.ask("SET", "token_version:alice", "five")
        #expect(try outcome(test, token) == "503 store_unavailable")
        try test.redis.ask("DEL", "token_version:alice")
        try test.redis.ask("RPUSH", "token_version:alice", "5")
        #expect(try outcome(test, token) == "503 store_unavailable")
        #expect(try outcome(test, test.token("bob")) == "101")
        // Together with a resource, in the same question.
        let path = "/ws/doc:1"
        #expect(try outcome(test, test.token("bob"), path: path) == "403 forbidden_resource")
        try test.redis.ask("HSET", "portcullis:perm:bob", "doc:1", "3:viewer")
        #expect(try outcome(test, test.token("bob"), path: path) == "101")
    }

    @Test func withoutTheSettingTheyAreNotAsked() throws {
        let test = try GateUnderTest()
        try test.redis.ask("SET", "revoked:t1", "1")
        #expect(try outcome(test, test.token("alice", ["jti": #""t1""#])) == "101")
    }

    @Test func aRevocationWritesThemForTheOthers() throws {
        let test = try GateUnderTest()
        try test.append(.revoke(.init(select: Selector(ids: [.token: "t1"]), issuedBefore: .never)))
        #expect(try test.redis.ask("GET", "revoked:t1").text == "1")
        let hash = String(repeating: "0123456789abcdef", count: 4)
        try test.append(.revoke(.init(select: Selector(ids: [.tokenHash: Identifier(hash)]), issuedBefore: .never)))
        #expect(try test.redis.ask("GET", "jwt_blacklist:\(hash)").text == "1")
        // One that was only published in upper case: the shared key is written as services look it up.
        let other = String(hash.reversed())
        try test.publish(#"{"v":1,"type":"revoke","select":{"token_hash":"\#(other.uppercased())"}}"#)
        try test.wait("the event is adopted") { try test.redis.ask("GET", "jwt_blacklist:\(other)").text == "1" }
    }

    // MARK: - Hybrid

    @Test func aHybridTokenMustBeActiveAndSlides() throws {
        let test = try GateUnderTest { $0.asksActiveTokens = true }
        let token = try test.token("alice")
        #expect(try outcome(test, token) == "401 revoked")
        let key = "active_token:alice:\(try hash(token))"
        try test.redis.ask("SET", key, "1", "EX", "600")
        #expect(try outcome(test, token) == "101")
        // Half an hour later, so to speak.
        try test.redis.ask("EXPIRE", key, "20")
        #expect(try outcome(test, token) == "101")
        #expect(try test.redis.ask("PTTL", key).integer ?? 0 > 500_000)
        // Another user's, another token's.
        #expect(try outcome(test, test.token("bob")) == "401 revoked")
        // One that has no end gets none.
        try test.redis.ask("SET", key, "1")
        #expect(try outcome(test, token) == "101")
        #expect(try test.redis.ask("PTTL", key) == .integer(-1))
        try test.redis.ask("DEL", key)
        #expect(try outcome(test, token) == "401 revoked")
        #expect(try test.redis.ask("EXISTS", key) == .integer(0))
    }

    // MARK: - The first message

    private func gate(_ change: (inout GateConfiguration) -> Void = { _ in }) throws -> GateUnderTest {
        try GateUnderTest { configuration in
            configuration.credentials = CredentialSource(tokens: [.header, .firstMessage])
            change(&configuration)
        }
    }

    private func open(_ test: GateUnderTest, path: String = "/ws", behind: [UInt8] = []) throws -> WebSocketPeer {
        let v1 = "Sec-WebSocket-Protocol: portcullis.v1"
        return try WebSocketPeer(test.gate.endpoint, path: path, headers: [v1], behind: behind)
    }

    private func frame(_ text: String) -> [UInt8] {
        var frame: [UInt8] = []
        FrameWriter.append(.text, Array(text.utf8).span, mask: 0x0102_0304, to: &frame)
        return frame
    }

    @Test func theFirstMessageAuthenticates() throws {
        let test = try gate()
        let message = #"{"type":"authenticate","token":"\#(try test.token("alice"))"}"#
        let alice = try open(test)
        #expect(alice.status == 101)
        try alice.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        #expect(try alice.receive() == .pong)
        try alice.send(text: message)
        #expect(try alice.receive(type: "welcome")["user"] as? String == "alice")
        // All at once, in the first packet, with what follows it; and byte by byte.
        let hasty = try open(test, behind: frame(message) + frame(#"{"type":"nonsense"}"#))
        #expect(try hasty.receive(type: "welcome")["user"] as? String == "alice")
        #expect(try hasty.receive(type: "error")["code"] as? String == "unknown_type")
        let slow = try open(test)
        for byte in frame(message) { try slow.send(raw: [byte]) }
        #expect(try slow.receive(type: "welcome")["user"] as? String == "alice")
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        for peer in [alice, hasty, slow] { #expect(try peer.receiveClose() == .close(4410, "revoked")) }
        try alice.close(code: 1000)
        // Revoked: also by this door.
        let again = try open(test)
        try again.send(text: message)
        #expect(try again.receive(type: "closing")["reconnect"] as? String == "never")
        #expect(try again.receive() == .close(4410, "revoked"))
    }

    @Test func theFirstMessageAsksRedisWhereTheHandshakeWould() throws {
        let test = try gate { $0.asksSharedKeys = true }
        try test.redis.ask("HSET", "portcullis:perm:alice", "doc:1", "1:editor")
        let message = #"{"type":"authenticate","token":"\#(try test.token("alice", ["jti": #""t1""#]))"}"#
        let alice = try open(test, path: "/ws/doc:1", behind: frame(message) + frame(#"{"type":"nonsense"}"#))
        #expect(try alice.receive(type: "welcome")["role"] as? String == "editor")
        #expect(try alice.receive(type: "error")["code"] as? String == "unknown_type")
        let other = try open(test, path: "/ws/doc:2", behind: frame(message))
        #expect(try other.receiveClose() == .close(4403, "forbidden_resource"))
        try test.redis.ask("SET", "revoked:t1", "1")
        #expect(try open(test, behind: frame(message)).receiveClose() == .close(4410, "revoked"))
    }

    @Test(arguments: [
        (#"{"type":"publish","resource":"doc:1","data":1}"#, 4401, "missing_credential"),
        (#"{"type":"authenticate"}"#, 4401, "missing_credential"), ("x", 4401, "missing_credential"),
        (#"{"type":"authenticate","token":""}"#, 4401, "malformed_token"),
        (#"{"type":"authenticate","token":"a.b.c"}"#, 4401, "malformed_token"),
    ])
    func nothingElseIsServedBeforeIt(_ message: String, _ code: UInt16, _ reason: String) throws {
        let test = try gate()
        let peer = try open(test)
        try peer.send(text: message)
        try peer.send(text: message)
        let closing = try peer.receive(type: "closing")
        #expect(closing["code"] as? UInt16 == code)
        #expect(try peer.receive() == .close(code, reason))
        #expect(try peer.receive() == .end)
    }

    @Test func whoSaysNothingOrTooMuchIsClosed() throws {
        let impatient = try gate { $0.handshake = Milliseconds(300) }
        #expect(try open(impatient).receiveClose() == .close(4408, "authentication_timeout"))
        let test = try gate { $0.handshake = .seconds(60) }
        let loud = try open(test)
        try loud.send(raw: [0x81, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4])
        #expect(try loud.receiveClose() == .close(1009, "message_too_big"))
        let gone = try open(test)
        try gone.close(code: 1000)
        #expect(try gone.receiveClose() == .close(1000, "bye"))
        // Without the subprotocol there is no first message.
        #expect(try WebSocketPeer(test.gate.endpoint, path: "/ws").status == 401)
    }
}

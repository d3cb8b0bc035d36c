import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

@testable import PortcullisGate

/// Keys that are replaced under a gate that runs.
@Suite(.serialized) struct KeyReplacementTests {
    private static func secret(_ letter: Character, kid: Identifier? = nil) throws -> SigningKey {
        let bytes = Array("\(String(repeating: letter, count: 40))".utf8)
        return try SigningKey(secret: bytes.span, kid: kid)
    }

    private static func policy(_ keys: [SigningKey], issuer: Identifier? = nil) throws -> TokenPolicy {
        try TokenPolicy(issuers: [TokenIssuer(issuer: issuer, keys: KeySet(keys.map(\.verificationKey)))])
    }

    private static func token(_ key: SigningKey, claims: [String: String] = [:]) throws -> String {
        let now = Int(Date().timeIntervalSince1970)
        var all = [(name: "sub", json: Array(#""alice""#.utf8)), ("exp", Array("\(now + 600)".utf8))]
        for (name, json) in claims { all.append((name, Array(json.utf8))) }
        return String(decoding: try TokenSigner(key).sign(all), as: UTF8.self)
    }

    private static func code(_ body: String) -> String? {
        (try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])?["code"] as? String
    }

    @Test func aHandshakeThatWaitsIsRefusedWhenItsKeyGoes() throws {
        let (old, new) = (try Self.secret("o", kid: "o"), try Self.secret("n", kid: "n"))
        let test = try GateUnderTest(loops: 1) {
            $0.tokens = (try? Self.policy([old, new])) ?? $0.tokens
            ($0.lease, $0.handshake) = (.seconds(60), .seconds(60))
        }
        // From here on Redis answers nobody, until all has been looked at.
        try test.redis.pause()
        defer { test.redis.resume() }
        let waiting = try [old, new].map { key in
            let socket = try BlockingSocket(test.gate.endpoint, timeout: 30_000)
            let claims = ["permissions": #"{"doc:1":"viewer"}"#]
            let lines =
                ["GET /ws/doc:1 HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
                + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
                + ["Authorization: Bearer \(try Self.token(key, claims: claims))"]
            try socket.write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
            return socket
        }
        // The one loop has read both when it answers a third.
        #expect(try WebSocketPeer(test.gate.endpoint, path: "/elsewhere").status == 404)
        test.gate.replaceTokens(try Self.policy([new]))
        let refused = String(decoding: try waiting[0].read(), as: UTF8.self)
        #expect(refused.hasPrefix("HTTP/1.1 401"))
        #expect(refused.contains("unknown_key"))
        // It waited: it was not judged by the new policy only.
        try test.wait("the report") {
            test.reports.all.contains {
                if case .keysWithdrawn(closed: 0, refused: 1) = $0 { true } else { false }
            }
        }
        test.redis.resume()
        #expect(String(decoding: try waiting[1].read(), as: UTF8.self).hasPrefix("HTTP/1.1 101"))
    }

    @Test(arguments: [true, false]) func liveConnectionsOfAKeyThatIsGone(closes: Bool) throws {
        // The same bytes under two names are one key, other bytes under the same name another.
        let (first, second) = (try Self.secret("a", kid: "k"), try Self.secret("b", kid: "l"))
        let test = try GateUnderTest {
            $0.tokens = (try? Self.policy([first, second])) ?? $0.tokens
            $0.closesOnKeyRemoval = closes
        }
        try test.redis.ask("SET", "session:s1", #"{"user_id":"alice"}"#, "EX", "60")
        let session = try WebSocketPeer(
            test.gate.endpoint,
            headers: ["Cookie: session_id=s1", "Origin: http://\(test.gate.endpoint)"]
        )
        #expect(session.status == 101)
        let gone = try test.connect("alice", raw: true, token: Self.token(first))
        let renamed = try test.connect("alice", raw: true, token: Self.token(second))
        let replacement = try Self.secret("c", kid: "k")
        test.gate.replaceTokens(try Self.policy([replacement, Self.secret("b", kid: "other")]))
        if closes { #expect(try gone.receiveClose() == .close(4401, "expired")) }
        #expect(
            try WebSocketPeer(test.gate.endpoint, headers: ["Authorization: Bearer \(Self.token(first))"]).status == 401
        )
        #expect(try test.connect("bob", raw: true, token: Self.token(replacement)).status == 101)
        // Whoever is left hears what is pushed.
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":7}"#)
        for peer in [session, renamed] + (closes ? [] : [gone]) { #expect(try peer.receive() == .text("7")) }
    }

    @Test func aKeyKeepsItsNumberAndNoOtherHasIt() throws {
        let (a, b) = (try Self.secret("a", kid: "k"), try Self.secret("b", kid: "k"))
        func policy(_ issuers: [(Identifier, [SigningKey])]) throws -> TokenPolicy {
            try TokenPolicy(
                issuers: issuers.map { TokenIssuer(issuer: $0.0, keys: try KeySet($0.1.map(\.verificationKey))) }
            )
        }
        var register = KeyRegister()
        let first = register.enter(try policy([("x", [a]), ("y", [a, Self.secret("c")])]))
        let numbers = first.serials
        #expect(Set(numbers.joined()).count == 3, "the same secret of another issuer is another key")
        #expect(!numbers.joined().contains(KeysInForce.none))
        // In another order, under another name, parsed anew.
        let second = register.enter(try policy([("y", [Self.secret("c", kid: "d"), Self.secret("a")]), ("x", [b])]))
        #expect(second.serials[0] == [numbers[1][1], numbers[1][0]])
        #expect(!second.covers(numbers[0][0]), "another secret of that name")
        #expect(second.covers(numbers[1][0]) && second.covers(KeysInForce.none))
        // What has been gone is not what it was.
        let third = register.enter(try policy([("x", [a]), ("y", [])]))
        #expect(!third.covers(numbers[0][0]) && !third.covers(numbers[1][0]))
        let pair = try KeyGenerator.pair(.rs256)
        let one = register.enter(try TokenPolicy(issuers: [TokenIssuer(keys: .jwks(pair.publicJWKS))]))
        let same = register.enter(try TokenPolicy(issuers: [TokenIssuer(keys: .pem(pair.privatePEM))]))
        #expect(one.serials == same.serials)
        let other = try TokenPolicy(issuers: [TokenIssuer(keys: .pem(pair.privatePEM, algorithm: .ps256))])
        #expect(register.enter(other).serials != one.serials)
        // What a loop keeps of a connection has not grown.
        #expect(MemoryLayout<Live>.stride == 88)
    }
}

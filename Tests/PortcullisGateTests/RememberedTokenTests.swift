import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisTokens
import TestKit
import Testing

/// Tokens of key pairs that are shown again: their signatures are remembered, and nothing else of them.
@Suite(.serialized) struct RememberedTokenTests {
    /// A gate whose tokens are signed by a key of a pair.
    struct Stage {
        let test: GateUnderTest
        let signer: TokenSigner
        let key: VerificationKey

        init(loops: Int = 2, remembers: Int = 20_000, _ change: (inout GateConfiguration) -> Void = { _ in }) throws {
            let pair = try KeyGenerator.pair(.es256)
            let signing = try SigningKey.pem(pair.privatePEM, algorithm: .es256, kid: pair.kid)
            signer = TokenSigner(signing)
            key = signing.verificationKey
            let policy = try Self.policy(key, remembers: remembers)
            test = try GateUnderTest(loops: loops) {
                $0.tokens = policy
                change(&$0)
            }
        }

        static func policy(
            _ key: VerificationKey,
            audience: Identifier? = nil,
            remembers: Int = 20_000
        ) throws -> TokenPolicy {
            let issuer = TokenIssuer(audiences: audience.map { [$0] } ?? [], keys: try KeySet([key]))
            return try TokenPolicy(issuers: [issuer], remembers: remembers)
        }

        func token(_ user: String, _ claims: [String: String] = [:], life: Int = 600) throws -> String {
            let now = Int(Date().timeIntervalSince1970)
            var all = ["sub": "\"\(user)\"", "iat": "\(now - 2)", "exp": "\(now + life)"]
            all.merge(claims) { $1 }
            let pairs = all.map { (name: $0.key, json: Array($0.value.utf8)) }
            return String(decoding: try signer.sign(pairs), as: UTF8.self)
        }

        func outcome(_ token: String) throws -> String {
            let peer = try WebSocketPeer(test.gate.endpoint, headers: ["Authorization: Bearer \(token)"])
            guard peer.status != 101 else { return "101" }
            let problem = try JSONSerialization.jsonObject(with: Data(peer.body.utf8)) as? [String: Any]
            return "\(peer.status) \(problem?["code"] ?? "")"
        }

        func awaitCounts(remembered: Int, unknown: Int) throws {
            try test.wait("\(remembered) remembered, \(unknown) not") {
                let status = test.gate.status
                return status.rememberedTokens == remembered && status.unknownTokens == unknown
            }
        }
    }

    /// Whichever loop the kernel gives a client to.
    @Test func aSignatureIsVerifiedOnceForAllLoops() throws {
        let stage = try Stage(loops: 4)
        let token = try stage.token("alice")
        for _ in 0..<12 { #expect(try stage.outcome(token) == "101") }
        try stage.awaitCounts(remembered: 11, unknown: 1)
        #expect(try stage.outcome(token + "A") == "401 bad_signature")
        #expect(try stage.outcome(stage.token("bob")) == "101")
    }

    @Test func aDecisionHoldsAgainstATokenThatIsRemembered() throws {
        let stage = try Stage(loops: 1)
        let (alice, bob) = (try stage.token("alice", ["jti": #""a1""#]), try stage.token("bob"))
        for token in [alice, bob, alice, bob] { #expect(try stage.outcome(token) == "101") }
        try stage.awaitCounts(remembered: 2, unknown: 2)
        let live = try stage.test.connect("alice", token: alice)
        try stage.test.append(.revoke(.init(select: Selector(ids: [.token: "a1"]), issuedBefore: .never)))
        #expect(try live.receive(type: "closing")["reason"] as? String == "revoked")
        #expect(try stage.outcome(alice) == "401 revoked")
        #expect(try stage.outcome(bob) == "101")
        let other = try stage.test.connect("bob", token: bob)
        let hash = TokenVerifier.hash(Array(bob.utf8).span)
        try stage.test.append(.revoke(.init(select: Selector(ids: [.tokenHash: hash]), issuedBefore: .never)))
        #expect(try other.receive(type: "closing")["reason"] as? String == "revoked")
        #expect(try stage.outcome(bob) == "401 revoked")
    }

    @Test func sharedKeysAreAskedAboutATokenThatIsRemembered() throws {
        let stage = try Stage(loops: 1) { $0.asksSharedKeys = true }
        let token = try stage.token("alice", ["jti": #""a1""#, "ver": "3"])
        for _ in 0..<2 { #expect(try stage.outcome(token) == "101") }
        try stage.test.redis.ask("SET", "token_version:alice", "4")
        #expect(try stage.outcome(token) == "401 revoked")
        try stage.test.redis.ask("DEL", "token_version:alice")
        try stage.test.redis.ask("SET", "revoked:a1", "1")
        #expect(try stage.outcome(token) == "401 revoked")
        try stage.awaitCounts(remembered: 3, unknown: 1)
    }

    @Test func nothingIsLeftOfAPolicyThatIsReplaced() throws {
        let stage = try Stage()
        let token = try stage.token("alice")
        for _ in 0..<3 { #expect(try stage.outcome(token) == "101") }
        try stage.awaitCounts(remembered: 2, unknown: 1)
        // The same key for another audience.
        stage.test.gate.replaceTokens(try Stage.policy(stage.key, audience: "another"))
        #expect(try stage.outcome(token) == "401 missing_claim")
        stage.test.gate.replaceTokens(try Stage.policy(stage.key))
        for _ in 0..<2 { #expect(try stage.outcome(token) == "101") }
        let other = try SigningKey.pem(KeyGenerator.pair(.es256).privatePEM, algorithm: .es256)
        stage.test.gate.replaceTokens(try Stage.policy(other.verificationKey))
        #expect(try stage.outcome(token) == "401 bad_signature")
        stage.test.gate.replaceTokens(try Stage.policy(stage.key))
        #expect(try stage.outcome(token) == "101")
        // Each was looked for among what its own policy had verified.
        try stage.awaitCounts(remembered: 3, unknown: 5)
    }

    @Test func zeroRemembersNone() throws {
        let stage = try Stage(remembers: 0)
        let token = try stage.token("alice")
        for _ in 0..<3 { #expect(try stage.outcome(token) == "101") }
        #expect(stage.test.gate.status.rememberedTokens == 0)
    }

    /// `exp` is judged at each handshake.
    @Test func aTokenThatIsRememberedEnds() throws {
        let stage = try Stage(loops: 1)
        let token = try stage.token("alice", life: 6)
        let live = try stage.test.connect("alice", token: token)
        #expect(try stage.outcome(token) == "101")
        let closing = try live.receive(type: "closing")
        #expect(closing["reason"] as? String == "expired")
        #expect(try stage.outcome(token) == "401 expired")
        try stage.awaitCounts(remembered: 2, unknown: 1)
    }
}

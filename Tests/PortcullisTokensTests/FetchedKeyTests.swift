import PortcullisCore
import Testing

@testable import PortcullisTokens

/// Issuers whose keys come from somewhere, and may not have come yet.
@Suite("Fetched keys")
struct FetchedKeyTests {
    private func judge(
        _ keys: [VerificationKey],
        algorithm: Algorithm? = nil,
        fetched: Bool = true
    ) throws -> TokenVerifier {
        let source = fetched ? KeySource(number: 3, algorithm: algorithm) : nil
        return TokenVerifier(try TokenPolicy(issuers: [TokenIssuer(keys: KeySet(keys), source: source)]))
    }

    private func signer(_ algorithm: Algorithm, kid: Identifier?) throws -> TokenSigner {
        let pair = try KeyGenerator.pair(algorithm)
        return try TokenSigner(SigningKey.pem(pair.privatePEM, algorithm: algorithm, kid: kid))
    }

    @Test("A name that the set lacks is told, whatever its algorithm; a secret's never")
    func unknown() throws {
        let (own, key) = try pair(.eddsa)
        let judge = try judge([key])
        #expect(judge.refusal(try own.sign(payload: claimsOfAlice)) == nil)
        #expect(judge.unknownKey == nil)
        for algorithm in [Algorithm.eddsa, .es256, .ps384] {
            let token = try signer(algorithm, kid: "new").sign(payload: claimsOfAlice)
            #expect(judge.refusal(token) == .unknownKey)
            #expect(judge.unknownKey == UnknownKey(source: KeySource(number: 3), kid: "new"))
        }
        #expect(judge.refusal(try forge(#"{"alg":"HS256","kid":"new"}"#)) == .algorithmForbidden)
        #expect(judge.unknownKey == nil)
        #expect(judge.refusal(try forge(#"{"alg":"none","kid":"new"}"#)) == .algorithmForbidden)
        #expect(judge.refusal(try forge(#"{"alg":"EdDSA","kid":"new","jku":"https://x"}"#)) == .malformedToken)
        #expect(judge.unknownKey == nil)
        // A name of the set with the algorithm of another key.
        let own2 = try signer(.es256, kid: key.kid).sign(payload: claimsOfAlice)
        #expect(judge.refusal(own2) == .algorithmForbidden)
        #expect(judge.unknownKey == nil)
    }

    @Test("Nothing is told of keys in files, of tokens without a name, and of algorithms that are not configured")
    func silent() throws {
        let (_, key) = try pair(.eddsa)
        let named = try signer(.eddsa, kid: "new").sign(payload: claimsOfAlice)
        let file = try judge([key], fetched: false)
        #expect(file.refusal(named) == .unknownKey)
        #expect(file.unknownKey == nil)
        let empty = try judge([])
        #expect(empty.refusal(try signer(.eddsa, kid: nil).sign(payload: claimsOfAlice)) == .unknownKey)
        #expect(empty.unknownKey == nil)
        #expect(empty.refusal(named) == .unknownKey)
        #expect(empty.unknownKey?.kid == "new")
        let one = try judge([key], algorithm: .eddsa)
        #expect(one.refusal(try signer(.es256, kid: "new").sign(payload: claimsOfAlice)) == .algorithmForbidden)
        #expect(one.unknownKey == nil)
    }

    @Test("Keys are replaced for their source alone")
    func replacing() throws {
        let (a, b) = (try pair(.eddsa).key, try pair(.eddsa).key)
        let source = KeySource(number: 0)
        let policy = try TokenPolicy(issuers: [
            TokenIssuer(issuer: "x", keys: KeySet([a]), source: source), TokenIssuer(issuer: "y", keys: KeySet([a])),
            TokenIssuer(issuer: "z", keys: KeySet([a]), source: KeySource(number: 1)),
        ])
        let next = policy.replacing(keysOf: source, with: try KeySet([b]))
        #expect(next.issuers.map { $0.keys.keys[0] === b } == [true, false, false])
    }

    @Test("A set without usable keys is an answer, another text is none")
    func answers() throws {
        for text in [#"{"keys":[]}"#, #"{"keys":[5]}"#, #"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
            #expect(try KeySet.fetchedJWKS(Array(text.utf8), source: "It").keys.isEmpty)
        }
        for text in ["", "{}", "[]", "<html>", #"{"error":"x"}"#, #"{"keys":{}}"#, #"{"keys":[],"keys":[]}"#] {
            #expect(throws: KeyError.self, "\(text)") { try KeySet.fetchedJWKS(Array(text.utf8), source: "It") }
        }
    }
}

import AllocationCounter
import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import PortcullisWire
import Testing

/// Whoever sends a gate rubbish makes it work, but not allocate. What OpenSSL takes to verify a signature is OpenSSL's: it is measured and
/// allowed for, and not an allocation more.
@Suite("Refusals allocate nothing", .serialized, .enabled(if: allocations_are_counted()))
struct AllocationTests {
    /// How often the verifier asked for memory to refuse the token, once it has seen such a token before.
    private func count(_ judge: TokenVerifier, _ token: [UInt8], _ expected: Outcome) -> UInt64 {
        func refusal() -> Outcome? {
            do throws(Refusal) {
                _ = try judge.verify(token.span, now: noon)
                return nil
            } catch {
                return error.outcome
            }
        }
        // The first time buffers grow, and contexts of keys are made.
        for _ in 0..<3 { #expect(refusal() == expected) }
        var last: Outcome?
        record_thrown_errors(false)
        defer { record_thrown_errors(true) }
        let before = allocations_so_far()
        for _ in 0..<10 { last = refusal() }
        let after = allocations_so_far()
        #expect(last == expected)
        return after - before
    }

    @Test("What is counted is counted")
    func counter() {
        let before = allocations_so_far()
        var array: [Int] = []
        array.reserveCapacity(100)
        let after = allocations_so_far()
        #expect(after - before == 1 && array.isEmpty)
    }

    private static let good = claims(["aud": #"["a","gate"]"#, "iss": #""i""#, "permissions": #"{"doc:1":"editor"}"#])

    /// Tokens of an HS256 key, one for each way to be refused.
    static let refused: [(name: String, outcome: Outcome)] = [
        ("too long", .malformedToken), ("empty", .malformedToken), ("two segments", .malformedToken),
        ("four segments", .malformedToken), ("header no base64url", .malformedToken),
        ("payload no base64url", .malformedToken), ("signature no base64url", .malformedToken),
        ("header no JSON", .malformedToken), ("header an array", .malformedToken), ("crit", .malformedToken),
        ("header a duplicate", .malformedToken), ("header an escaped duplicate", .malformedToken),
        ("escaped crit", .malformedToken), ("kid a number", .malformedToken), ("unknown key", .unknownKey),
        ("wrong algorithm", .algorithmForbidden), ("no algorithm", .algorithmForbidden), ("wrong type", .typeForbidden),
        ("bad signature", .badSignature), ("bad signature, known header", .badSignature),
        ("signature too short", .badSignature), ("payload no JSON", .malformedToken),
        ("payload an array", .malformedToken), ("payload a duplicate", .malformedToken), ("expired", .expired),
        ("expired, a fraction", .expired), ("expired, an exponent", .expired), ("early", .notYetValid),
        ("lives too long", .lifeTooLong), ("no exp", .missingClaim), ("exp no number", .malformedToken),
        ("wrong issuer", .wrongIssuer), ("wrong audience", .wrongAudience), ("audience of numbers", .malformedToken),
    ]

    private func token(_ name: String) throws -> [UInt8] {
        func with(_ changes: [String: String]) throws -> [UInt8] {
            let all = ["aud": #"["a","gate"]"#, "iss": #""i""#].merging(changes) { $1 }
            return try forge(#"{"alg":"HS256","kid":"k1"}"#, claims(all))
        }
        func header(_ text: String) throws -> [UInt8] { try forge(text, Self.good) }
        let good = try with([:])
        let parts = good.split(separator: UInt8(ascii: ".")).map(Array.init)
        func joined(_ parts: [[UInt8]]) -> [UInt8] { Array(parts.joined(separator: [UInt8(ascii: ".")])) }
        let forged = [UInt8](repeating: UInt8(ascii: "A"), count: 43)
        let odd = Array("a+b=".utf8)
        switch name {
        case "too long": return [UInt8](repeating: UInt8(ascii: "a"), count: 9000)
        case "empty": return []
        case "two segments": return joined(Array(parts.prefix(2)))
        case "four segments": return joined(parts + [parts[2]])
        case "header no base64url": return joined([odd, parts[1], parts[2]])
        case "payload no base64url": return joined([parts[0], odd, parts[2]])
        case "signature no base64url": return joined([parts[0], parts[1], odd])
        case "header no JSON": return try header(#"{"alg":"HS256""#)
        case "header an array": return try header(#"["alg","HS256"]"#)
        case "crit": return try header(#"{"alg":"HS256","crit":["exp"]}"#)
        case "header a duplicate": return try header(#"{"alg":"HS256","alg":"HS256"}"#)
        case "header an escaped duplicate": return try header(#"{"alg":"HS256","\u0061lg":"HS256"}"#)
        case "escaped crit": return try header(#"{"alg":"HS256","cr\u0069t":["exp"]}"#)
        case "kid a number": return try header(#"{"alg":"HS256","kid":1}"#)
        case "unknown key": return try header(#"{"alg":"HS256","kid":"a name that is none of ours"}"#)
        case "wrong algorithm": return try header(#"{"alg":"HS384","kid":"k1"}"#)
        case "no algorithm": return try header(#"{"alg":"none"}"#)
        case "wrong type": return try header(#"{"alg":"HS256","typ":"application/logout+jwt","kid":"k1"}"#)
        case "bad signature":
            return joined([Base64URL.encode(Array(#"{"kid":"k1","alg":"HS256"}"#.utf8)), parts[1], forged])
        case "bad signature, known header": return joined([parts[0], parts[1], forged])
        case "signature too short": return joined([parts[0], parts[1], Array(forged.prefix(20))])
        case "payload no JSON": return try forge(#"{"alg":"HS256","kid":"k1"}"#, Array(#"{"sub":"#.utf8))
        case "payload an array": return try forge(#"{"alg":"HS256","kid":"k1"}"#, Array(#"["sub"]"#.utf8))
        case "payload a duplicate": return try forge(#"{"alg":"HS256","kid":"k1"}"#, Array(#"{"a":1,"a":1}"#.utf8))
        case "expired": return try with(["exp": "1767268799"])
        case "expired, a fraction": return try with(["exp": "1767268799.123"])
        case "expired, an exponent": return try with(["exp": "1.767e9"])
        case "early": return try with(["nbf": "1767269000"])
        case "lives too long": return try with(["exp": "1867268799"])
        case "no exp": return try with(["exp": ""])
        case "exp no number": return try with(["exp": #""soon""#])
        case "wrong issuer": return try with(["iss": #""another issuer, with a long name""#])
        case "wrong audience": return try with(["aud": #"["another audience, with a long name"]"#])
        default: return try with(["aud": "[1,2]"])
        }
    }

    /// How often OpenSSL asks for memory to compute ten codes of the token.
    private func bare(_ token: [UInt8]) throws -> UInt64 {
        let end = try #require(token.lastIndex(of: UInt8(ascii: ".")))
        let signed = Array(token[..<end])
        let code = [UInt8](repeating: 0, count: 32)
        let key = Array(secret)
        let context = HMACContext(HMACKey(SecretBytes(key.span), hash: .sha256))
        for _ in 0..<3 { _ = context.isValid(code.span, of: signed.span) }
        let before = allocations_so_far()
        for _ in 0..<10 { _ = context.isValid(code.span, of: signed.span) }
        return allocations_so_far() - before
    }

    /// The refusals that come before the signature is computed.
    private static let early = 0..<18

    @Test("HS256", arguments: refused.indices)
    func hmac(_ index: Int) throws {
        let (name, outcome) = Self.refused[index]
        let key = try SigningKey(secret: Array(secret).span, kid: "k1")
        let issuer = TokenIssuer(issuer: "i", audiences: ["gate"], keys: try KeySet([key.verificationKey]))
        let judge = TokenVerifier(try TokenPolicy(issuers: [issuer]))
        // A good token first, so that there is a header that is remembered.
        #expect(judge.refusal(try forge(#"{"alg":"HS256","kid":"k1"}"#, Self.good)) == nil)
        let token = try token(name)
        let allowed = Self.early.contains(index) || name == "signature too short" ? 0 : try bare(token)
        #expect(count(judge, token, outcome) == allowed, "\(name)")
    }

    @Test("A key without a name, and a token that gives it a long one")
    func nameless() throws {
        let judge = try verifier(KeySet([pair(.hs256).key]))
        let header = #"{"alg":"HS256","kid":"a name that is longer than fits into a word"}"#
        var token = try forge(header)
        #expect(try judge.accept(token).identity[.key] == "a name that is longer than fits into a word")
        let other = try verifier(KeySet([pair(.hs256).key]))
        token[token.count - 20] ^= 1
        #expect(count(other, token, .badSignature) == (try bare(token)))
    }

    @Test("Several issuers")
    func issuers() throws {
        let (a, b) = (
            try SigningKey(secret: Array(secret).span, kid: "a"), try SigningKey(secret: Array(secret).span, kid: "b")
        )
        let judge = TokenVerifier(
            try TokenPolicy(issuers: [
                TokenIssuer(issuer: "a", keys: KeySet([a.verificationKey])),
                TokenIssuer(issuer: "b", keys: KeySet([b.verificationKey])),
            ])
        )
        func token(_ kid: String, _ issuer: String, _ exp: String = "1767269100") throws -> [UInt8] {
            try forge(#"{"alg":"HS256","kid":"\#(kid)"}"#, claims(["iss": "\"\(issuer)\"", "exp": exp]))
        }
        #expect(judge.refusal(try token("b", "b")) == nil)
        #expect(count(judge, try token("a", "b"), .unknownKey) == 0)
        #expect(count(judge, try token("a", "an issuer that nobody knows"), .wrongIssuer) == 0)
        let expired = try token("b", "b", "1767268799")
        #expect(count(judge, expired, .expired) == (try bare(expired)))
    }

    @Test("Key pairs: no more than OpenSSL does", arguments: [Algorithm.es256, .es512, .rs256, .ps256, .eddsa])
    func pairs(_ algorithm: Algorithm) throws {
        let made = try KeyGenerator.pair(algorithm)
        let key = try KeySet.jwks(made.publicJWKS)
        let judge = try verifier(key)
        let signer = try TokenSigner(SigningKey.pem(made.privatePEM, algorithm: algorithm, kid: made.kid))
        let good = try signer.sign(payload: claimsOfAlice)
        #expect(judge.refusal(good) == nil)
        var bad = good
        let dot = try #require(good.lastIndex(of: UInt8(ascii: ".")))
        // In the middle of the signature: no bit of it stands for nothing.
        let at = (dot + good.count) / 2
        bad[at] = bad[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        let signed = Array(bad[..<dot])
        let signature = try #require(decode(Array(bad[(dot + 1)...])))
        let scheme = try #require(algorithm.scheme)
        let context = try VerificationContext(PrivateKey(pem: made.privatePEM).publicKey(), scheme)
        for _ in 0..<3 { _ = context.isValid(signature.span, of: signed.span) }
        let before = allocations_so_far()
        for _ in 0..<10 { _ = context.isValid(signature.span, of: signed.span) }
        let bare = allocations_so_far() - before
        #expect(count(judge, bad, .badSignature) <= bare)
        let expired = try signer.sign(payload: claims(["exp": "1767268799"]))
        let valid = Array(expired[..<(try #require(expired.lastIndex(of: UInt8(ascii: "."))))])
        let whole = try #require(decode(Array(expired[(valid.count + 1)...])))
        for _ in 0..<3 { _ = context.isValid(whole.span, of: valid.span) }
        let start = allocations_so_far()
        for _ in 0..<10 { _ = context.isValid(whole.span, of: valid.span) }
        let least = allocations_so_far() - start
        #expect(count(judge, expired, .expired) <= least)
    }
}

import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import Testing

@Suite("The shape of tokens")
struct ShapeTests {
    private func judge(types: TokenTypes = .standard, maximumLength: Int = 8192) throws -> TokenVerifier {
        let issuer = TokenIssuer(keys: try KeySet([pair(.hs256).key]))
        return TokenVerifier(try TokenPolicy(issuers: [issuer], types: types, maximumLength: maximumLength))
    }

    @Test(
        "What is no compact token",
        arguments: [
            "", ".", "..", "...", "a", "a.b", ".b.c", "a.b.c.d", "a.b.c.d.e", "====.e30.AA", " ", "\n", "e30.e30.e30\n",
        ]
    )
    func notCompact(_ text: String) throws {
        #expect(try judge().refusal(text.utf8) == .malformedToken)
        #expect(try judge().signatureRefusal(text.utf8) == .malformedToken)
    }

    @Test(
        "Headers",
        arguments: [
            (#"{"alg":"HS256"}"#, nil),
            (#" { "alg" : "HS256" } "#, nil),
            (#"{"alg":"HS\u0032\u0035\u0036"}"#, nil),
            (#"{"alg":"HS256","x5t":"x","cty":"JWT"}"#, nil),
            (#"{}"#, .malformedToken),
            (#"[]"#, .malformedToken),
            (#""HS256""#, .malformedToken),
            (#"{"alg":null}"#, .malformedToken),
            (#"{"alg":["HS256"]}"#, .malformedToken),
            (#"{"alg":"HS256","alg":"HS256"}"#, .malformedToken),
            (#"{"alg":"HS256"}x"#, .malformedToken),
            (#"{"alg":"HS256","kid":5}"#, .malformedToken),
            (#"{"alg":"HS256","kid":""}"#, .malformedToken),
            (#"{"alg":"HS256","kid":"a\u0000"}"#, .malformedToken),
            (#"{"alg":"HS256","kid":"any"}"#, nil),
            (#"{"alg":"HS256","typ":5}"#, .malformedToken),
            (#"{"alg":"HS256","typ":"jwt"}"#, nil),
            (#"{"alg":"HS256","typ":"AT+JWT"}"#, nil),
            (#"{"alg":"HS256","typ":"application/at+jwt"}"#, nil),
            (#"{"alg":"HS256","typ":"Application/JWT"}"#, nil),
            (#"{"alg":"HS256","typ":"application/application/jwt"}"#, .typeForbidden),
            (#"{"alg":"HS256","typ":"none"}"#, .typeForbidden),
            (#"{"alg":"HS256","typ":"logout+jwt"}"#, .typeForbidden),
            (#"{"alg":"HS256","typ":""}"#, .typeForbidden),
        ] as [(String, Outcome?)]
    )
    func headers(_ header: String, _ outcome: Outcome?) throws {
        #expect(try judge().refusal(forge(header)) == outcome, "\(header)")
    }

    @Test("A type can be required")
    func requiredType() throws {
        let judge = try judge(types: TokenTypes(["application/AT+jwt"]))
        #expect(judge.refusal(try forge(#"{"alg":"HS256","typ":"at+JWT"}"#)) == nil)
        #expect(judge.refusal(try forge(#"{"alg":"HS256","typ":"JWT"}"#)) == .typeForbidden)
        #expect(judge.refusal(try forge(#"{"alg":"HS256"}"#)) == .typeForbidden)
    }

    @Test("The length is judged first")
    func length() throws {
        let good = try forge(#"{"alg":"HS256"}"#)
        #expect(try judge(maximumLength: good.count).refusal(good) == nil)
        #expect(try judge(maximumLength: good.count - 1).refusal(good) == .malformedToken)
        #expect(try judge().refusal(repeatElement(UInt8(ascii: "."), count: 1 << 20)) == .malformedToken)
    }

    @Test("A header that is remembered is still judged byte for byte")
    func rememberedHeader() throws {
        let judge = try judge()
        let good = try forge(#"{"alg":"HS256"}"#)
        for _ in 0..<3 {
            #expect(judge.refusal(good) == nil)
            #expect(judge.refusal(try forge(#"{"alg":"HS384"}"#)) == .algorithmForbidden)
            #expect(judge.refusal(try forge(#"{"alg":"none"} "#)) == .algorithmForbidden)
            #expect(judge.refusal(try forge(#"{"alg":"HS256","typ":"x"}"#)) == .typeForbidden)
        }
        #expect(judge.claimsJSON.isEmpty)
    }

    @Test("Base64url has one text for each value")
    func base64() throws {
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 0x9D &+ 0xE7) }
            let text = Base64URL.encode(bytes)
            #expect(decode(text) == bytes)
            guard let last = text.last, count % 3 != 0 else { continue }
            // The neighbours of the last letter have bits set that stand for nothing.
            let slack = text.dropLast() + [last + 1]
            #expect(decode(Array(slack)) == nil)
        }
        for text in ["A", "AA=", "AA==", "AAA=", "A A", "AB+/", "AAAA\n", "AAAAA", "ÄAA", "QUI", "QR"] {
            let bytes = Array(text.utf8)
            let isValid = text == "QUI"
            #expect((decode(bytes) != nil) == isValid, "\(text)")
        }
        var small = [UInt8](repeating: 0, count: 2)
        let text = Array("AAAA".utf8)
        let count = Base64URL.decode(text.span, into: &small)
        #expect(count == nil)
    }

    @Test("Random changes never end the process and are never accepted")
    func mutation() throws {
        var random = SplitMix(state: 0x5EED)
        let signers = try [Algorithm.hs256, .es256, .eddsa].map { try pair($0) }
        for (signer, key) in signers {
            let judge = try verifier(KeySet([key]))
            let good = try signer.sign(payload: claimsOfAlice)
            for _ in 0..<3_000 {
                var token = good
                for _ in 0...Int.random(in: 0..<4, using: &random) {
                    let at = Int.random(in: 0..<max(token.count, 1), using: &random)
                    switch Int.random(in: 0..<5, using: &random) {
                    case 0 where !token.isEmpty: token[at] = UInt8.random(in: 0...255, using: &random)
                    case 1: token.insert(UInt8.random(in: 0x2D...0x7A, using: &random), at: min(at, token.count))
                    case 2 where !token.isEmpty: token.remove(at: at)
                    case 3: token.removeLast(min(at, token.count))
                    default: token.append(contentsOf: token.suffix(Int.random(in: 0..<9, using: &random)))
                    }
                }
                if token != good { #expect(judge.refusal(token) != nil) }
            }
            #expect(judge.refusal(good) == nil)
        }
    }

    /// Payloads that are validly signed but broken, so that the claims' reader meets them.
    @Test("Random payloads under a valid signature never end the process")
    func payloadMutation() throws {
        var random = SplitMix(state: 0xBAD5EED)
        let (signer, key) = try pair(.hs256)
        let judge = try verifier(KeySet([key]))
        let good = claims([
            "aud": #"["a","b"]"#, "permissions": #"{"doc:1":"owner"}"#, "scope": #""a b""#,
            "jti": #""\u00e9\ud83d\ude00""#,
            "nbf": "-1.5e3", "iss": #""i""#,
        ])
        for _ in 0..<5_000 {
            var payload = good
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                payload[Int.random(in: 0..<payload.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = judge.refusal(try signer.sign(payload: payload))
        }
        #expect(judge.refusal(try signer.sign(payload: good)) == nil)
    }
}

/// The same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

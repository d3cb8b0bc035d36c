import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import Testing

@Suite("Attacks on signatures")
struct AttackTests {
    /// The three segments of a token.
    private func segments(_ token: [UInt8]) -> [[UInt8]] {
        token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init)
    }

    private func token(_ segments: [[UInt8]]) -> [UInt8] {
        Array(segments.joined(separator: [UInt8(ascii: ".")]))
    }

    private func header(_ json: String) -> [UInt8] {
        Base64URL.encode(Array(json.utf8))
    }

    @Test("Every bit of a signature, and its length", arguments: Algorithm.allCases)
    func signature(_ algorithm: Algorithm) throws {
        let (signer, key) = try pair(algorithm)
        let judge = try verifier(KeySet([key]))
        let good = try signer.sign(payload: claimsOfAlice)
        #expect(judge.refusal(good) == nil)
        let parts = segments(good)
        let signature = try #require(decode(parts[2]))
        func refusal(_ signature: [UInt8]) -> Outcome? {
            judge.refusal(token([parts[0], parts[1], Base64URL.encode(signature)]))
        }
        // RSA signatures have thousands of bits: some of each region will do.
        for bit in stride(from: 0, to: signature.count * 8, by: signature.count > 128 ? 61 : 7) {
            var flipped = signature
            flipped[bit / 8] ^= 1 << (bit % 8)
            #expect(refusal(flipped) == .badSignature, "bit \(bit)")
        }
        for length in [0, 1, signature.count / 2, signature.count - 1] {
            #expect(refusal(Array(signature.prefix(length))) == .badSignature, "\(length) bytes")
        }
        #expect(refusal(signature + [0]) == .badSignature)
        #expect(refusal([0] + signature) == .badSignature)
        #expect(refusal(signature + signature) == .badSignature)
        #expect(refusal(Array(repeating: 0, count: signature.count)) == .badSignature)
        #expect(refusal(Array(repeating: 0xFF, count: signature.count)) == .badSignature)
        #expect(refusal(signature.reversed()) == .badSignature)
        #expect(refusal(signature) == nil)
    }

    @Test("Every part of a signed text", arguments: [Algorithm.hs256, .es256, .eddsa, .rs256])
    func signedText(_ algorithm: Algorithm) throws {
        let (signer, key) = try pair(algorithm)
        let judge = try verifier(KeySet([key]))
        let good = try signer.sign(payload: claimsOfAlice)
        let end = try #require(good.lastIndex(of: UInt8(ascii: ".")))
        for at in 0..<end {
            var changed = good
            changed[at] = changed[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(judge.refusal(changed) != nil, "letter \(at)")
        }
    }

    @Test("The key of another", arguments: Algorithm.allCases)
    func wrongKey(_ algorithm: Algorithm) throws {
        let (signer, _) = try pair(algorithm)
        let other: VerificationKey
        if algorithm.hmac != nil {
            let secret = Array("another secret of the tests, long enough for every one of the algorithms".utf8)
            other = try VerificationKey(secret: secret.span, algorithm: algorithm)
        } else {
            let pem = try KeyGenerator.pair(algorithm).privatePEM
            other = try KeySet.pem(pem, algorithm: algorithm).keys[0]
        }
        // Without a name the key is tried whatever the token calls it.
        #expect(try verifier(KeySet([other])).refusal(signer.sign(payload: claimsOfAlice)) == .badSignature)
    }

    @Test("A header that names another algorithm than the key's", arguments: Algorithm.allCases)
    func algorithmSwap(_ algorithm: Algorithm) throws {
        let (signer, key) = try pair(algorithm)
        let judge = try verifier(KeySet([key]))
        let parts = segments(try signer.sign(payload: claimsOfAlice))
        let names =
            Algorithm.allCases.map(\.rawValue) + ["none", "None", "NONE", "", "hs256", "HS256 ", "RS257", "EdDSA\u{0}"]
        for name in names where name != algorithm.rawValue {
            let head = header(#"{"alg":\#(String(decoding: TokenSigner.json(Identifier(name)), as: UTF8.self))}"#)
            #expect(judge.refusal(token([head, parts[1], parts[2]])) == .algorithmForbidden, "\(name)")
            #expect(judge.refusal(token([head, parts[1], []])) == .algorithmForbidden, "\(name)")
        }
    }

    @Test("A public key is no secret", arguments: [Algorithm.rs256, .es256, .eddsa])
    func publicKeyAsSecret(_ algorithm: Algorithm) throws {
        let key = try PrivateKey.generate(
            algorithm == .rs256 ? .rsa(bits: 2048) : algorithm == .es256 ? .elliptic(.p256) : .ed25519
        )
        let pem = try key.publicKey().pem()
        let judge = try verifier(KeySet.pem(pem))
        for text in [pem, Array(pem.dropLast())] {
            #expect(
                judge.refusal(try forge(#"{"alg":"HS256","typ":"JWT"}"#, claimsOfAlice, text)) == .algorithmForbidden
            )
            #expect(throws: KeyError.self) { try secretKey(text) }
        }
    }

    @Test("The padding of one RSA scheme under the name of the other, with a key used for both")
    func paddingSwap() throws {
        let pem = try KeyGenerator.pair(.rs256).privatePEM
        let rs = try TokenSigner(SigningKey.pem(pem, algorithm: .rs256))
        let parts = segments(try rs.sign(payload: claimsOfAlice))
        let judge = try verifier(KeySet.pem(pem, algorithm: .ps256))
        #expect(judge.refusal(try rs.sign(payload: claimsOfAlice)) == .algorithmForbidden)
        let key = try PrivateKey(pem: pem)
        let signed = header(#"{"alg":"PS256"}"#) + Array(".".utf8) + parts[1]
        for _ in 0..<3 {
            let pkcs1 = Base64URL.encode(try key.sign(signed.span, .pkcs1(.sha256)))
            #expect(judge.refusal(signed + Array(".".utf8) + pkcs1) == .badSignature)
            let pss = Base64URL.encode(try key.sign(signed.span, .pss(.sha256)))
            #expect(judge.refusal(signed + Array(".".utf8) + pss) == nil)
        }
    }

    @Test("ECDSA: r and s beyond their range, and DER instead of raw", arguments: [EllipticCurve.p256, .p384, .p521])
    func ecdsaRange(_ curve: EllipticCurve) throws {
        let key = try PrivateKey.generate(.elliptic(curve))
        let context = try VerificationContext(key.publicKey(), .ecdsa(curve))
        let message = Array("message".utf8)
        let good = try key.sign(message.span, .ecdsa(curve))
        #expect(good.count == 2 * curve.byteCount)
        let (r, s) = (Array(good.prefix(curve.byteCount)), Array(good.suffix(curve.byteCount)))
        let zero = [UInt8](repeating: 0, count: curve.byteCount)
        let huge = [UInt8](repeating: 0xFF, count: curve.byteCount)
        for bad in [zero + s, r + zero, zero + zero, huge + s, r + huge, s + r] {
            let isAccepted = context.isValid(bad.span, of: message.span)
            #expect(!isAccepted)
        }
        let isValid = context.isValid(good.span, of: message.span)
        #expect(isValid)
    }

    @Test(
        "Members of a header that change what it means",
        arguments: ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"]
    )
    func forbiddenMembers(_ member: String) throws {
        let (_, key) = try pair(.hs256)
        let judge = try verifier(KeySet([key]))
        for value in ["null", "[]", #"["exp"]"#, "true", #""x""#] {
            for name in [member, "\\u00" + String(member.utf8.first ?? 0, radix: 16) + member.dropFirst()] {
                let token = try forge(#"{"alg":"HS256","\#(name)":\#(value)}"#)
                #expect(judge.refusal(token) == .malformedToken, "\(name) \(value)")
            }
        }
    }
}

import PortcullisCrypto
import TestKit
import Testing

@Suite("Wycheproof: primitives", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct CryptoVectorTests {
    private struct Vector {
        let id: Int
        let message: [UInt8]
        let signature: [UInt8]
        let result: String
    }

    private func forEach(
        _ file: String,
        _ body: (_ group: [String: Any], _ vectors: [Vector]) throws -> Void
    ) throws -> Int {
        var count = 0
        for group in try #require(object("wycheproof/\(file)_test.json")["testGroups"] as? [[String: Any]]) {
            let vectors = try #require(group["tests"] as? [[String: Any]]).map { test in
                Vector(
                    id: try #require(test["tcId"] as? Int),
                    message: bytes(hex: try #require(test["msg"] as? String)),
                    signature: bytes(hex: try #require((test["sig"] ?? test["tag"]) as? String)),
                    result: try #require(test["result"] as? String)
                )
            }
            count += vectors.count
            try body(group, vectors)
        }
        return count
    }

    private func publicKeys(_ file: String, _ scheme: SignatureScheme) throws -> Int {
        try forEach(file) { group, vectors in
            let pem = try #require(group["publicKeyPem"] as? String)
            let context = try VerificationContext(PublicKey(pem: Array(pem.utf8)), scheme)
            for vector in vectors where vector.result != "acceptable" {
                let isValid = context.isValid(vector.signature.span, of: vector.message.span)
                #expect(isValid == (vector.result == "valid"), "\(file) \(vector.id)")
            }
        }
    }

    @Test("ECDSA with r and s behind each other")
    func ecdsa() throws {
        #expect(try publicKeys("ecdsa_secp256r1_sha256_p1363", .ecdsa(.p256)) == 262)
        #expect(try publicKeys("ecdsa_secp384r1_sha384_p1363", .ecdsa(.p384)) == 280)
        #expect(try publicKeys("ecdsa_secp521r1_sha512_p1363", .ecdsa(.p521)) == 318)
    }

    @Test("Ed25519")
    func ed25519() throws {
        #expect(try publicKeys("ed25519", .ed25519) == 151)
    }

    @Test("RSA")
    func rsa() throws {
        #expect(try publicKeys("rsa_signature_2048_sha256", .pkcs1(.sha256)) > 200)
        #expect(try publicKeys("rsa_signature_3072_sha384", .pkcs1(.sha384)) > 200)
        #expect(try publicKeys("rsa_pss_2048_sha256_mgf1_32", .pss(.sha256)) > 50)
    }

    @Test("HMAC; a truncated code is refused", arguments: HashFunction.allCases)
    func hmac(_ hash: HashFunction) throws {
        let name = "hmac_\(hash.rawValue.lowercased())"
        let count = try forEach(name) { group, vectors in
            let isWhole = group["tagSize"] as? Int == hash.byteCount * 8
            let tests = try #require(group["tests"] as? [[String: Any]])
            for (vector, test) in zip(vectors, tests) {
                let key = bytes(hex: try #require(test["key"] as? String))
                let context = HMACContext(HMACKey(SecretBytes(key.span), hash: hash))
                for _ in 0..<2 {
                    let isValid = context.isValid(vector.signature.span, of: vector.message.span)
                    #expect(isValid == (vector.result == "valid" && isWhole), "\(name) \(vector.id)")
                }
            }
        }
        #expect(count == 174)
    }
}

@Suite("Crypto")
struct CryptoTests {
    @Test("Digests of what the standards give as examples")
    func digests() {
        let text = Array("abc".utf8)
        let sha1 = SHA1.digest(text.span)
        #expect((0..<20).map { sha1[$0] } == bytes(hex: "a9993e364706816aba3e25717850c26c9cd0d89d"))
        let sha256 = SHA256.digest(text.span)
        let wanted = bytes(hex: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect((0..<32).map { sha256[$0] } == wanted)
        let empty: [UInt8] = []
        // Again and again: nothing of the one before is left.
        for _ in 0..<3 {
            let digest = SHA1.digest(empty.span)
            #expect(digest[0] == 0xDA)
        }
    }

    @Test("What is secret is not printed")
    func redaction() throws {
        let secret = SecretBytes(Array("0123456789".utf8).span)
        let key = HMACKey(secret, hash: .sha256)
        let pair = try PrivateKey.generate(.ed25519)
        for text in ["\(secret)", "\(key)", "\(pair)", String(reflecting: key), String(reflecting: pair)] {
            #expect(text.contains("redacted") && !text.contains("0123"), "\(text)")
        }
        var dumped = ""
        dump([key], to: &dumped)
        dump(pair, to: &dumped)
        #expect(!dumped.contains("0x"))
    }

    @Test(
        "A key pair survives its PEM",
        arguments: [KeyKind.rsa(bits: 2048), .elliptic(.p256), .elliptic(.p384), .elliptic(.p521), .ed25519]
    )
    func pem(_ kind: KeyKind) throws {
        let key = try PrivateKey.generate(kind)
        let again = try PrivateKey(pem: key.pem())
        let components = try key.publicKey().components()
        #expect(try again.publicKey().components() == components)
        #expect(try PublicKey(pem: key.publicKey().pem()).components() == components)
        #expect(try PublicKey(pem: key.pem()).components() == components)
        #expect(throws: CryptoError.self) { try PrivateKey(pem: key.publicKey().pem()) }
    }

    @Test("Random bytes are not twice the same")
    func random() throws {
        #expect(try SecureRandom.bytes(16) != SecureRandom.bytes(16))
        #expect(try SecureRandom.bytes(0).isEmpty)
        #expect(throws: CryptoError.self) { try SecureRandom.bytes(-1) }
    }
}

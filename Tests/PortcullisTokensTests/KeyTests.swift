import Foundation
import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import TestKit
import Testing

@Suite("Keys")
struct KeyTests {
    @Test(
        "The examples of jwt.io are refused",
        arguments: [
            "a-string-secret-at-least-256-bits-long", "a-valid-string-secret-that-is-at-least-384-bits-long",
            "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        ]
    )
    func examples(secret: String) {
        #expect(throws: KeyError.self) { try secretKey(Array(secret.utf8)) }
    }

    @Test("All known secrets are refused", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
    func knownSecrets() throws {
        let lines = try Vectors.read("jwt-secrets/jwt.secrets.list").split(separator: 0x0A)
        var count = 0
        for line in lines where line.count >= 32 {
            count += 1
            // As it stands in the list, with the CR of its line, and without.
            for secret in [Array(line), Array(line.last == 0x0D ? line.dropLast() : line)] {
                #expect(throws: KeyError.self, "\(String(decoding: line, as: UTF8.self))") {
                    try secretKey(secret)
                }
            }
        }
        #expect(count == 1919)
        #expect(throws: Never.self) { try secretKey(secret) }
    }

    @Test("A secret is as long as the digest", arguments: [Algorithm.hs256, .hs384, .hs512])
    func secretLength(_ algorithm: Algorithm) throws {
        let least = try #require(algorithm.hmac).byteCount
        let random = try SecureRandom.bytes(least)
        #expect(throws: Never.self) { try secretKey(random, algorithm) }
        let error = #expect(throws: KeyError.self) {
            try secretKey(Array(random.prefix(least - 1)), algorithm, "The secret in /x")
        }
        #expect(
            error?.description.hasPrefix(
                "The secret in /x is \(least - 1) bytes long; \(algorithm.rawValue) needs at least \(least)."
            ) == true
        )
        let empty: [UInt8] = []
        #expect(throws: KeyError.self) { try secretKey(empty, algorithm) }
    }

    @Test("Keys that are made can be used", arguments: Algorithm.allCases)
    func generated(_ algorithm: Algorithm) throws {
        guard algorithm.hmac == nil else {
            #expect(throws: KeyError.self) { try KeyGenerator.pair(algorithm) }
            let secret = try KeyGenerator.secret()
            #expect(secret.count == 64)
            #expect(throws: Never.self) { try secretKey(secret, algorithm) }
            return
        }
        let pair = try KeyGenerator.pair(algorithm)
        let set = try KeySet.jwks(pair.publicJWKS)
        #expect(set.keys.count == 1 && set.refused.isEmpty)
        #expect(set.keys[0].kid == pair.kid && set.keys[0].thumbprint == pair.kid && set.keys[0].algorithm == algorithm)
        #expect(try KeySet.fetchedJWKS(pair.publicJWKS, source: "x").keys.count == 1)
        #expect(!pair.publicJWKS.contains(Array(#""d""#.utf8)))
        // The key's PEM and its set name the same key.
        let signer = try TokenSigner(SigningKey.pem(pair.privatePEM, algorithm: algorithm, kid: pair.kid))
        let token = try signer.sign(payload: claimsOfAlice)
        #expect(try verifier(set).refusal(token) == nil)
        #expect(try verifier(KeySet.pem(pair.privatePEM, algorithm: algorithm)).refusal(token) == nil)
    }

    @Test("RSA keys of less than 2048 bits, and algorithms that do not fit")
    func unfit() throws {
        #expect(throws: KeyError.self) { try KeyGenerator.pair(.rs256, bits: 1024) }
        #expect(throws: KeyError.self) { try KeyGenerator.pair(.rs256, bits: 1 << 20) }
        let pair = try KeyGenerator.pair(.es256)
        #expect(throws: KeyError.self) { try KeySet.jwks(pair.publicJWKS, algorithm: .es384) }
        #expect(throws: KeyError.self) { try KeySet.pem(pair.privatePEM, algorithm: .rs256) }
        #expect(throws: KeyError.self) { try KeySet.pem(pair.privatePEM, algorithm: .hs256) }
        #expect(throws: KeyError.self) { try secretKey(secret, .es256) }
        #expect(throws: KeyError.self) {
            try KeySet.pem(Array("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".utf8))
        }
        #expect(throws: KeyError.self) { try KeySet.pem([]) }
    }

    @Test("A set tells why its keys cannot be used")
    func refused() throws {
        let good = try KeyGenerator.pair(.eddsa)
        let members = String(decoding: good.publicJWKS, as: UTF8.self).dropFirst(9).dropLast(3)
        let others = [
            #"{"kty":"RSA","use":"enc","kid":"e"}"#, #"{"kty":"EC","crv":"P-192","x":"AA","y":"AA","kid":"c"}"#, "5",
            #"{"kty":"oct","k":"c2hvcnQ","kid":"s"}"#, #"{"kid":"t"}"#,
        ]
        let set = try KeySet.jwks(Array(#"{"keys":[\#(members),\#(others.joined(separator: ","))]}"#.utf8))
        #expect(set.keys.count == 1)
        #expect(set.refused.count == 5)
        #expect(set.refused[0].reason == #"Key "e" cannot be used: its "use" is not "sig"."#)
        let twice = try? KeySet.jwks(Array(#"{"keys":[\#(members),\#(members)]}"#.utf8))
        #expect(twice == nil)
        for text in ["", "{", "[]", "5", #"{"keys":5}"#, #"{"keys":[]}"#, #"{"keys":[5]}"#] {
            #expect(throws: KeyError.self, "\(text)") { try KeySet.jwks(Array(text.utf8)) }
        }
        let secretKey = #"{"kty":"oct","k":"\#(String(decoding: Base64URL.encode(secret), as: UTF8.self))"}"#
        #expect(try KeySet.jwks(Array(secretKey.utf8)).keys.count == 1)
        #expect(throws: KeyError.self) { try KeySet.fetchedJWKS(Array(secretKey.utf8), source: "https://x") }
    }

    @Test("Which key a token means")
    func choice() throws {
        let (first, second) = (try KeyGenerator.pair(.es256), try KeyGenerator.pair(.es256))
        let set = try KeySet.jwks(first.publicJWKS).adding(.jwks(second.publicJWKS))
        let judge = try verifier(set)
        func token(_ key: KeyGenerator.Pair, kid: Identifier?) throws -> [UInt8] {
            try TokenSigner(SigningKey.pem(key.privatePEM, kid: kid)).sign(payload: claimsOfAlice)
        }
        #expect(judge.refusal(try token(first, kid: first.kid)) == nil)
        #expect(judge.refusal(try token(second, kid: second.kid)) == nil)
        #expect(judge.refusal(try token(first, kid: second.kid)) == .badSignature)
        #expect(judge.refusal(try token(first, kid: "other")) == .unknownKey)
        #expect(judge.refusal(try token(first, kid: nil)) == .unknownKey)
        let one = try verifier(KeySet.jwks(first.publicJWKS))
        #expect(one.refusal(try token(first, kid: nil)) == nil)
        #expect(one.refusal(try token(first, kid: "other")) == .unknownKey)
        let unnamed = try verifier(KeySet.pem(first.privatePEM))
        let named = try token(first, kid: "any")
        #expect(try unnamed.accept(named).identity[.key] == "any")
    }

    @Test("The key of one issuer never verifies a token of another")
    func issuers() throws {
        let (a, b) = (try KeyGenerator.pair(.es256), try KeyGenerator.pair(.es256))
        let judge = TokenVerifier(
            try TokenPolicy(issuers: [
                TokenIssuer(issuer: "a", keys: .jwks(a.publicJWKS)),
                TokenIssuer(
                    issuer: "b",
                    audiences: ["gate"],
                    keys: .jwks(b.publicJWKS),
                    claims: ClaimNames(user: "uid")
                ),
            ])
        )
        func token(_ key: KeyGenerator.Pair, _ changes: [String: String]) throws -> [UInt8] {
            try TokenSigner(SigningKey.pem(key.privatePEM, kid: key.kid)).sign(payload: claims(changes))
        }
        for _ in 0..<2 {
            #expect(judge.refusal(try token(a, ["iss": #""a""#])) == nil)
            let good = try token(b, ["iss": #""b""#, "aud": #""gate""#, "uid": #""bob""#])
            #expect(try judge.accept(good).identity.user == "bob")
            #expect(try judge.accept(good).issuer == 1)
            #expect(judge.refusal(try token(b, ["iss": #""b""#, "uid": #""bob""#])) == .missingClaim)
            #expect(judge.refusal(try token(a, ["iss": #""b""#, "aud": #""gate""#])) == .unknownKey)
            #expect(judge.refusal(try token(b, ["iss": #""a""#])) == .unknownKey)
            #expect(judge.refusal(try token(a, ["iss": #""c""#])) == .wrongIssuer)
            #expect(judge.refusal(try token(a, [:])) == .missingClaim)
        }
        #expect(throws: KeyError.self) {
            try TokenPolicy(issuers: [TokenIssuer(issuer: "a", keys: .empty), TokenIssuer(issuer: "a", keys: .empty)])
        }
        #expect(throws: KeyError.self) {
            try TokenPolicy(issuers: [TokenIssuer(issuer: "a", keys: .empty), TokenIssuer(keys: .empty)])
        }
    }
}

@Suite("Key files")
final class KeyFileTests {
    private let folder = FileManager.default.temporaryDirectory.appending(
        path: "portcullis-keys-\(UInt64.random(in: 0...UInt64.max))"
    )

    init() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    private func file(_ bytes: [UInt8], mode: Int = 0o600) throws -> String {
        let path = folder.appending(path: "\(UInt64.random(in: 0...UInt64.max))").path
        #expect(
            FileManager.default.createFile(atPath: path, contents: Data(bytes), attributes: [.posixPermissions: mode])
        )
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private func sentence(_ body: () throws -> KeySet) -> String {
        do {
            _ = try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("A secret with and without a newline is one secret")
    func secretFile() throws {
        let signer = try TokenSigner(SigningKey.secretFile(file(secret)))
        let token = try signer.sign(payload: claimsOfAlice)
        #expect(try verifier(KeySet.secretFile(file(secret + [0x0A]))).refusal(token) == nil)
        #expect(try verifier(KeySet.secretFile(file(secret + [0x0A, 0x0A]))).refusal(token) == .badSignature)
        let short = try file(Array("short secret".utf8))
        #expect(
            sentence { try KeySet.secretFile(short) }.hasPrefix(
                "The secret in \(short) is 12 bytes long; HS256 needs at least 32."
            )
        )
    }

    @Test("What is secret must not be open to others", arguments: [0o644, 0o640, 0o604, 0o660])
    func open(_ mode: Int) throws {
        let pair = try KeyGenerator.pair(.es256)
        let jwk = Array(#"{"kty":"oct","k":"\#(String(decoding: Base64URL.encode(secret), as: UTF8.self))"}"#.utf8)
        let closing = "can be read by others than its owner"
        let (a, b, c) = (try file(secret, mode: mode), try file(pair.privatePEM, mode: mode), try file(jwk, mode: mode))
        #expect(sentence { try KeySet.secretFile(a) }.contains(closing))
        #expect(sentence { try KeySet.keyFile(b) }.contains(closing))
        #expect(sentence { try KeySet.jwksFile(c) }.contains(closing))
        #expect(throws: KeyError.self) { try SigningKey.keyFile(b) }
        let publicFile = try file(pair.publicJWKS, mode: mode)
        #expect(try KeySet.jwksFile(publicFile).keys.count == 1)
        #expect(try KeySet.keyFile(publicFile).keys.count == 1)
        let pem = try PrivateKey(pem: pair.privatePEM).publicKey().pem()
        #expect(try KeySet.keyFile(file(pem, mode: mode)).keys.count == 1)
        #expect(try KeySet.jwksFile(file(jwk)).keys.count == 1)
    }

    @Test("A file that is none")
    func missing() throws {
        #expect(sentence { try KeySet.keyFile("/nowhere/at/all") } == "There is no file /nowhere/at/all.")
        let path = folder.path
        #expect(sentence { try KeySet.keyFile(path) }.contains("is a folder"))
        let large = try file(Array(repeating: 0x41, count: 1 << 20 + 1))
        #expect(sentence { try KeySet.secretFile(large) }.contains("larger than 1 MiB"))
        let encrypted = try file(
            Array("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".utf8)
        )
        #expect(sentence { try KeySet.keyFile(encrypted) }.contains("encrypted"))
    }
}

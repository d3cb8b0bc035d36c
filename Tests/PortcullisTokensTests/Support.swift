import Foundation
import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import TestKit

/// A JSON file of the vectors, as Foundation reads it.
func object(_ path: String) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(Vectors.read(path))) as? [String: Any] ?? [:]
}

func json(_ value: Any) throws -> [UInt8] {
    try [UInt8](JSONSerialization.data(withJSONObject: value, options: .sortedKeys))
}

func bytes(hex: String) -> [UInt8] {
    let digits = Array(hex.utf8).map { UInt8(String(UnicodeScalar($0)), radix: 16) ?? 0 }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

extension TokenVerifier {
    /// The verdict on a text: nil where it is accepted.
    func refusal(_ token: some Sequence<UInt8>, now: WallTime = noon) -> Outcome? {
        let token = Array(token)
        do {
            _ = try verify(token.span, now: now)
            return nil
        } catch {
            return error.outcome
        }
    }

    func signatureRefusal(_ token: some Sequence<UInt8>) -> Outcome? {
        let token = Array(token)
        do {
            try verifySignature(token.span)
            return nil
        } catch {
            return error.outcome
        }
    }
}

/// The moment at which tests take place.
let noon = WallTime(milliseconds: 1_767_268_800_000)

/// A secret that is on no list.
let secret = Array("a secret of the tests, long enough for every one of the three algorithms".utf8)

func verifier(_ keys: KeySet, leeway: Milliseconds = .seconds(30)) throws -> TokenVerifier {
    TokenVerifier(try TokenPolicy(issuers: [TokenIssuer(keys: keys)], leeway: leeway))
}

/// A signer and a verifier with one new key.
func pair(_ algorithm: Algorithm) throws -> (signer: TokenSigner, key: VerificationKey) {
    if algorithm.hmac != nil {
        let key = try SigningKey(secret: secret.span, algorithm: algorithm)
        return (TokenSigner(key), key.verificationKey)
    }
    let pair = try KeyGenerator.pair(algorithm)
    let keys = try KeySet.jwks(pair.publicJWKS)
    let key = try SigningKey.pem(pair.privatePEM, algorithm: algorithm, kid: pair.kid)
    return (TokenSigner(key), keys.keys[0])
}

/// Claims that are accepted at noon, with changes; one without a text takes the claim away.
func claims(_ changes: [String: String] = [:]) -> [UInt8] {
    var claims: [String: String] = ["sub": #""alice""#, "iat": "1767268790", "exp": "1767269100"]
    for (name, value) in changes { claims[name] = value.isEmpty ? nil : value }
    return Array(("{" + claims.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}").utf8)
}

let claimsOfAlice = claims()

/// The code of a text, by the secret of the tests or another one.
func code(_ text: [UInt8], _ key: [UInt8] = secret) throws -> [UInt8] {
    HMACContext(HMACKey(SecretBytes(key.span), hash: .sha256)).sign(text.span)
}

/// A token with this header, signed by HS256.
func forge(_ header: String, _ payload: [UInt8] = claimsOfAlice, _ key: [UInt8] = secret) throws -> [UInt8] {
    let signed = Base64URL.encode(Array(header.utf8)) + [UInt8(ascii: ".")] + Base64URL.encode(payload)
    return try signed + [UInt8(ascii: ".")] + Base64URL.encode(code(signed, key))
}

// Spans cannot stand in the macros of tests.

func decode(_ text: [UInt8]) -> [UInt8]? {
    Base64URL.decode(text.span)
}

func secretKey(
    _ secret: [UInt8],
    _ algorithm: Algorithm = .hs256,
    _ source: String = "The secret"
) throws -> VerificationKey {
    try VerificationKey(secret: secret.span, algorithm: algorithm, source: source)
}

extension TokenVerifier {
    func accept(_ token: [UInt8]) throws -> VerifiedToken {
        try verify(token.span, now: noon)
    }
}

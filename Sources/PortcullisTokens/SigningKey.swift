public import PortcullisCore
public import PortcullisCrypto
import PortcullisWire

/// A key that signs tokens, and the one algorithm that it signs with. Its description shows nothing of it.
public final class SigningKey: Sendable {
    enum Material: Sendable {
        case secret(HMACKey)
        case pair(PrivateKey, SignatureScheme)
    }

    public let kid: Identifier?
    public let algorithm: Algorithm
    let material: Material
    /// The key that verifies what this one signs.
    public let verificationKey: VerificationKey

    /// A secret; refused as ``VerificationKey`` refuses it.
    public init(
        secret: Span<UInt8>,
        algorithm: Algorithm = .hs256,
        kid: Identifier? = nil,
        source: String = "The secret"
    ) throws(KeyError) {
        self.kid = kid
        self.algorithm = algorithm
        self.verificationKey = try VerificationKey(secret: secret, algorithm: algorithm, kid: kid, source: source)
        self.material = .secret(HMACKey(SecretBytes(secret), hash: algorithm.hmac ?? .sha256))
    }

    /// A private key; refused as ``VerificationKey`` refuses its public half.
    public init(
        _ key: PrivateKey,
        algorithm wanted: Algorithm? = nil,
        kid: Identifier? = nil,
        source: String = "The key"
    ) throws(KeyError) {
        let publicKey: PublicKey
        do {
            publicKey = try key.publicKey()
        } catch {
            throw KeyError("\(source) cannot be used. \(error).")
        }
        self.verificationKey = try VerificationKey(publicKey, algorithm: wanted, kid: kid, source: source)
        self.kid = kid
        self.algorithm = verificationKey.algorithm
        guard let scheme = algorithm.scheme else { throw KeyError("\(source) cannot sign with \(algorithm.rawValue).") }
        self.material = .pair(key, scheme)
    }

    /// The secret of a file, as ``KeySet/secretFile(_:algorithm:)`` reads it.
    public static func secretFile(
        _ path: String,
        algorithm: Algorithm? = nil,
        kid: Identifier? = nil
    ) throws(KeyError) -> SigningKey {
        let file = try KeyFile(path)
        try file.requirePrivate()
        return try SigningKey(
            secret: file.secret.span,
            algorithm: algorithm ?? .hs256,
            kid: kid,
            source: "The secret in \(path)"
        )
    }

    /// The private key of a PEM or JWK file, which nobody but its owner may read.
    /// - Parameter kid: nil for the one that a JWK has.
    public static func keyFile(
        _ path: String,
        algorithm: Algorithm? = nil,
        kid: Identifier? = nil
    ) throws(KeyError) -> SigningKey {
        let file = try KeyFile(path)
        try file.requirePrivate()
        if file.isJSON { return try jwk(file.bytes, algorithm: algorithm, kid: kid, source: path) }
        return try pem(file.bytes, algorithm: algorithm, kid: kid, source: "The key in \(path)")
    }

    /// The private key of a PEM text.
    public static func pem(
        _ text: [UInt8],
        algorithm: Algorithm? = nil,
        kid: Identifier? = nil,
        source: String = "The key"
    ) throws(KeyError) -> SigningKey {
        let key: PrivateKey
        do {
            key = try PrivateKey(pem: text)
        } catch {
            throw KeyError("\(source) cannot sign: \(error). Wanted is an unencrypted private key in PEM.")
        }
        return try SigningKey(key, algorithm: algorithm, kid: kid, source: source)
    }

    /// The private key, or the secret, of a JWK text.
    /// - Parameter kid: nil for the one that the text has.
    public static func jwk(
        _ text: [UInt8],
        algorithm: Algorithm? = nil,
        kid: Identifier? = nil,
        source: String = "The key"
    ) throws(KeyError) -> SigningKey {
        var json = StrictJSON(maximumBytes: KeyFile.largest)
        do {
            try json.parse(text.span)
        } catch {
            throw KeyError("\(source) is not the JSON text of a JWK: \(error).")
        }
        do {
            return try JSONWebKey(0, json, text.span).signingKey(configured: algorithm, kid: kid)
        } catch {
            throw KeyError("\(source) cannot sign: \(error).")
        }
    }
}

extension SigningKey: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "\(algorithm.rawValue) signing key (redacted)"
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

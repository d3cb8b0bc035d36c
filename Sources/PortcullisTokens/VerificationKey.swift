public import PortcullisCore
public import PortcullisCrypto

/// A key and the one algorithm that it verifies. What a token says of its algorithm only ever has to agree.
public final class VerificationKey: Sendable {
    /// What the key is. A public key is no secret and a secret no public key: the two cannot be taken for each other.
    enum Material: Sendable {
        case secret(HMACKey)
        case pair(PublicKey, SignatureScheme)
    }

    /// The name that the key's file gives it; nil where it gives none.
    public let kid: Identifier?
    /// The RFC 7638 thumbprint of a public key, which names it as well; nil of a secret.
    public let thumbprint: Identifier?
    public let algorithm: Algorithm
    let material: Material

    /// The least modulus (RFC 7518, section 3.3).
    static let leastModulus = 2048

    /// A secret.
    /// - Parameter source: what the sentences of an error call it, such as `The secret in /etc/x`.
    /// - Throws: where it is too short for the algorithm (RFC 7518, section 3.2), known to the world, or a PEM text by mistake.
    public init(
        secret: Span<UInt8>,
        algorithm: Algorithm = .hs256,
        kid: Identifier? = nil,
        source: String = "The secret"
    ) throws(KeyError) {
        guard let hash = algorithm.hmac else {
            throw KeyError(
                "\(source) cannot be used with \(algorithm.rawValue), which takes a key pair: configure a PEM or JWK file."
            )
        }
        let make = "Make one with: portcullis keys generate --alg \(algorithm.rawValue) --out DIR"
        guard secret.count >= hash.byteCount else {
            throw KeyError(
                "\(source) is \(secret.count) bytes long; \(algorithm.rawValue) needs at least \(hash.byteCount). \(make)"
            )
        }
        guard !KnownSecrets.contains(secret) else {
            throw KeyError("\(source) is on a public list of known secrets, so anybody can sign with it. \(make)")
        }
        if let kind = PublicText.kind(of: secret) {
            throw KeyError(
                "\(source) is \(kind), not a secret: whoever has a public key could sign with it. Configure it as a key file."
            )
        }
        self.kid = kid
        self.thumbprint = nil
        self.algorithm = algorithm
        self.material = .secret(HMACKey(SecretBytes(secret), hash: hash))
    }

    /// A public key.
    /// - Parameters:
    ///   - algorithm: nil for the one that goes with the key's kind.
    ///   - source: what the sentences of an error call it, such as `The key in /etc/x`.
    /// - Throws: where the key is too small or of another kind than the algorithm takes.
    public init(
        _ key: PublicKey,
        algorithm wanted: Algorithm? = nil,
        kid: Identifier? = nil,
        source: String = "The key"
    ) throws(KeyError) {
        if case .rsa(let bits) = key.kind, bits < Self.leastModulus {
            throw KeyError(
                "\(source) has an RSA modulus of \(bits) bits; at least \(Self.leastModulus) are needed. "
                    + "Make one with: portcullis keys generate --alg RS256 --out DIR"
            )
        }
        guard !key.isFactorable else {
            throw KeyError(
                "\(source) was made by a chip whose private keys can be computed (CVE-2017-15361). "
                    + "Make a new one with: portcullis keys generate --alg RS256 --out DIR"
            )
        }
        let algorithm = wanted ?? .standard(for: key.kind)
        guard let scheme = algorithm.scheme, scheme.fits(key.kind) else {
            throw KeyError("\(source) is \(key.kind.words), which \(algorithm.rawValue) does not sign with.")
        }
        do {
            self.thumbprint = Identifier(bytes: Thumbprint.of(try key.components()))
        } catch {
            throw KeyError("\(source) cannot be used. \(error).")
        }
        self.kid = kid
        self.algorithm = algorithm
        self.material = .pair(key, scheme)
    }

    /// Whether it is one of a pair: what it verifies was signed by another.
    var isPair: Bool {
        if case .pair = material { true } else { false }
    }

    /// Whether two are the same key with the same algorithm, whatever they are called. Secrets are compared in constant time.
    public func isSameKey(as other: VerificationKey) -> Bool {
        guard algorithm == other.algorithm else { return false }
        switch (material, other.material) {
        case (.secret(let own), .secret(let other)): return own.isSame(as: other)
        case (.pair, .pair): return thumbprint != nil && thumbprint == other.thumbprint
        case (.secret, .pair), (.pair, .secret): return false
        }
    }
}

extension VerificationKey: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "\(algorithm.rawValue) key \(kid?.description ?? thumbprint?.description ?? "without a name")"
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

extension KeyKind {
    /// What the kind is called in a sentence.
    var words: String {
        switch self {
        case .rsa: "an RSA key"
        case .elliptic(let curve): "a key on the curve \(curve.rawValue)"
        case .ed25519: "an Ed25519 key"
        }
    }
}

/// What a key pair signs with (RFC 7518, sections 3.3–3.5; RFC 8037, section 3.1).
public enum SignatureScheme: Hashable, Sendable {
    /// RSASSA-PKCS1-v1_5.
    case pkcs1(HashFunction)
    /// RSASSA-PSS, its salt as long as the digest, MGF1 with the same hash function.
    case pss(HashFunction)
    /// ECDSA with the curve's hash function; a signature is r and s, each as long as a coordinate.
    case ecdsa(EllipticCurve)
    case ed25519

    var hash: HashFunction? {
        switch self {
        case .pkcs1(let hash), .pss(let hash): hash
        case .ecdsa(let curve): curve.hash
        case .ed25519: nil
        }
    }

    /// Whether keys of that kind can sign so.
    public func fits(_ kind: KeyKind) -> Bool {
        switch (self, kind) {
        case (.pkcs1, .rsa), (.pss, .rsa), (.ed25519, .ed25519): true
        case (.ecdsa(let wanted), .elliptic(let curve)): wanted == curve
        default: false
        }
    }
}

/// What kind of key pair a key belongs to.
public enum KeyKind: Hashable, Sendable {
    case rsa(bits: Int)
    case elliptic(EllipticCurve)
    case ed25519
}

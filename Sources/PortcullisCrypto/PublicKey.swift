import COpenSSL

/// A key that verifies signatures and makes none.
public final class PublicKey: Sendable {
    let handle: KeyHandle

    init(_ handle: KeyHandle) {
        self.handle = handle
    }

    public var kind: KeyKind {
        handle.kind
    }

    /// The key of a PEM text: a public key, a certificate, or a private key, whose public half is kept.
    public convenience init(pem text: [UInt8]) throws(CryptoError) {
        let handle: KeyHandle
        if let block = PEM.block(labelled: "PUBLIC KEY", in: text) {
            handle = try PEM.key(block, selection: portcullis_public_key)
        } else if let block = PEM.block(labelled: "PRIVATE KEY", in: text) {
            let key = try PrivateKey(pem: block)
            self.init(try key.publicKey().handle)
            return
        } else if let block = PEM.block(labelled: "CERTIFICATE", in: text) {
            handle = try PEM.certificateKey(block)
        } else {
            throw CryptoError("The text holds no PEM block with a key")
        }
        try handle.check(hasPrivate: false)
        self.init(handle)
    }

    /// An RSA key of its big-endian modulus and exponent (RFC 7518, section 6.3.1).
    public convenience init(modulus: [UInt8], exponent: [UInt8]) throws(CryptoError) {
        let parameters = try KeyParameters()
        try parameters.add("n", number: modulus)
        try parameters.add("e", number: exponent)
        self.init(try parameters.makeKey("RSA", hasPrivate: false))
    }

    /// A key of its point on a curve, each coordinate as long as the field (RFC 7518, section 6.2.1).
    public convenience init(curve: EllipticCurve, x: [UInt8], y: [UInt8]) throws(CryptoError) {
        let parameters = try KeyParameters()
        try parameters.addPoint(curve, x, y)
        self.init(try parameters.makeKey("EC", hasPrivate: false))
    }

    /// An Ed25519 key of its 32 bytes (RFC 8037, section 2).
    public convenience init(ed25519 bytes: [UInt8]) throws(CryptoError) {
        guard bytes.count == 32 else { throw CryptoError("An Ed25519 key has 32 bytes") }
        let parameters = try KeyParameters()
        try parameters.add("pub", octets: bytes)
        self.init(try parameters.makeKey("ED25519", hasPrivate: false))
    }

    /// What a JWK says of the key.
    public func components() throws(CryptoError) -> PublicComponents {
        switch kind {
        case .rsa: .rsa(modulus: try handle.number("n"), exponent: try handle.number("e"))
        case .elliptic(let curve):
            .elliptic(
                curve,
                x: try handle.number("qx", byteCount: curve.byteCount),
                y: try handle.number("qy", byteCount: curve.byteCount)
            )
        case .ed25519: .ed25519(try handle.raw(isPrivate: false))
        }
    }

    /// The key as PEM (`PUBLIC KEY`, RFC 5280 SubjectPublicKeyInfo).
    public func pem() throws(CryptoError) -> [UInt8] {
        try PEM.text { PEM_write_bio_PUBKEY($0, handle.pointer) }
    }
}

/// The numbers of a public key, big-endian.
public enum PublicComponents: Equatable, Sendable {
    case rsa(modulus: [UInt8], exponent: [UInt8])
    case elliptic(EllipticCurve, x: [UInt8], y: [UInt8])
    case ed25519([UInt8])
}

extension KeyParameters {
    /// The group and the uncompressed point (SEC 1, section 2.3.3).
    func addPoint(_ curve: EllipticCurve, _ x: [UInt8], _ y: [UInt8]) throws(CryptoError) {
        guard x.count == curve.byteCount, y.count == curve.byteCount else {
            throw CryptoError("A coordinate on \(curve.rawValue) has \(curve.byteCount) bytes")
        }
        try add("group", text: curve.groupName)
        try add("pub", octets: [0x04] + x + y)
    }
}

import COpenSSL

/// A key that makes signatures. Its description shows nothing of it.
public final class PrivateKey: Sendable {
    let handle: KeyHandle

    init(_ handle: KeyHandle) {
        self.handle = handle
    }

    public var kind: KeyKind {
        handle.kind
    }

    /// The key of a PEM text (PKCS#8, or the older `RSA PRIVATE KEY` and `EC PRIVATE KEY`), which must not be encrypted.
    public convenience init(pem text: [UInt8]) throws(CryptoError) {
        guard let block = PEM.block(labelled: "PRIVATE KEY", in: text) else {
            throw CryptoError("The text holds no PEM block with a private key")
        }
        let handle = try PEM.key(block, selection: portcullis_key_pair)
        try handle.check(hasPrivate: true)
        self.init(handle)
    }

    /// Makes a new key pair.
    /// - Parameter kind: an RSA modulus has 2048–8192 bits.
    public static func generate(_ kind: KeyKind) throws(CryptoError) -> PrivateKey {
        let name: StaticString =
            switch kind {
            case .rsa: "RSA"
            case .elliptic: "EC"
            case .ed25519: "ED25519"
            }
        guard let context = EVP_PKEY_CTX_new_from_name(nil, name.forever, nil) else {
            throw .drained("No context for a key")
        }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_keygen_init(context) == 1 else { throw .drained("No key can be made") }
        switch kind {
        case .rsa(let bits):
            guard (2048...KeyHandle.largestModulus).contains(bits) else {
                throw CryptoError("An RSA modulus has 2048 to \(KeyHandle.largestModulus) bits")
            }
            guard EVP_PKEY_CTX_set_rsa_keygen_bits(context, Int32(bits)) == 1 else {
                throw .drained("No key can be made")
            }
        case .elliptic(let curve):
            guard EVP_PKEY_CTX_set_group_name(context, curve.groupName) == 1 else {
                throw .drained("No key can be made")
            }
        case .ed25519: break
        }
        var key: OpaquePointer?
        guard EVP_PKEY_generate(context, &key) == 1, let key else { throw .drained("No key could be made") }
        return PrivateKey(try KeyHandle(owning: key))
    }

    /// The public half.
    public func publicKey() throws(CryptoError) -> PublicKey {
        // A new key of the public numbers alone: a reference to this one would carry the private half along.
        switch kind {
        case .rsa: try PublicKey(modulus: handle.number("n"), exponent: handle.number("e"))
        case .elliptic(let curve):
            try PublicKey(
                curve: curve,
                x: handle.number("qx", byteCount: curve.byteCount),
                y: handle.number("qy", byteCount: curve.byteCount)
            )
        case .ed25519: try PublicKey(ed25519: handle.raw(isPrivate: false))
        }
    }

    /// The key as unencrypted PEM (`PRIVATE KEY`, PKCS#8, RFC 5958). The caller writes it where only the owner can read.
    public func pem() throws(CryptoError) -> [UInt8] {
        try PEM.text { PEM_write_bio_PKCS8PrivateKey($0, handle.pointer, nil, nil, 0, nil, nil) }
    }
}

extension PrivateKey: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "private key (redacted)"
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

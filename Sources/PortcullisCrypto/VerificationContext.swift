import COpenSSL

/// Owns an `EVP_MD_CTX` set up for one public key and one scheme. It is used again and again, by one thread at a time: setting one
/// up costs an allocation or ten and a look-up by name.
public final class VerificationContext {
    private let context: OpaquePointer
    /// Kept alive as long as the context that refers to it.
    private let key: PublicKey
    private let scheme: SignatureScheme
    private let form: ECDSASignature?
    private var encoded: [UInt8] = []

    /// Throws where the key is not of the scheme's kind.
    public init(_ key: PublicKey, _ scheme: SignatureScheme) throws(CryptoError) {
        guard scheme.fits(key.kind) else { throw CryptoError("The key is not of the kind that this algorithm takes") }
        guard let context = EVP_MD_CTX_new() else { throw .drained("No context for a signature") }
        self.context = context
        self.key = key
        self.scheme = scheme
        if case .ecdsa(let curve) = scheme { form = ECDSASignature(curve) } else { form = nil }
        encoded.reserveCapacity(144)
        var inner: OpaquePointer?
        let hash = scheme.hash?.implementation.pointer
        guard scheme.hash == nil || hash != nil,
            EVP_DigestVerifyInit(context, &inner, hash, nil, key.handle.pointer) == 1, scheme.configure(inner)
        else {
            throw .drained("The key cannot be used for verifying")
        }
    }

    deinit {
        EVP_MD_CTX_free(context)
    }

    /// Whether the signature is this key's for the message. ECDSA signatures are r and s as JWS has them.
    public func isValid(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        if let form {
            guard form.encode(signature, into: &encoded) else { return false }
            let encoded = encoded
            return verify(encoded.span, message)
        }
        return verify(signature, message)
    }

    private func verify(_ signature: Span<UInt8>, _ message: Span<UInt8>) -> Bool {
        // Safe: both buffers are valid for their counts while the closures run. Initializing without a key begins anew with the
        // key and the hash function that the context has; RSA's padding falls back to PKCS#1 and must be said again.
        let result = signature.withUnsafeBufferPointer { signature in
            message.withUnsafeBufferPointer { message -> Int32 in
                guard EVP_DigestVerifyInit(context, nil, nil, nil, nil) == 1,
                    scheme.configure(EVP_MD_CTX_get_pkey_ctx(context))
                else { return 0 }
                return EVP_DigestVerify(
                    context,
                    signature.baseAddress,
                    signature.count,
                    message.baseAddress,
                    message.count
                )
            }
        }
        // Exactly 1 is yes: a negative result is an error, and not "true".
        guard result == 1 else {
            ERR_clear_error()
            return false
        }
        return true
    }
}

extension SignatureScheme {
    /// Sets what the scheme fixes beside the hash function.
    func configure(_ context: OpaquePointer?) -> Bool {
        switch self {
        case .pkcs1: EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1
        case .pss(let hash):
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1
                && EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash.implementation.pointer) == 1
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, Int32(hash.byteCount)) == 1
        case .ecdsa, .ed25519: true
        }
    }
}

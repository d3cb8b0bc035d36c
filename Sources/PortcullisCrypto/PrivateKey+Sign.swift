import COpenSSL

extension PrivateKey {
    /// Signs a message. ECDSA signatures come as r and s, as JWS has them.
    /// - Throws: where the key is not of the scheme's kind, or OpenSSL refuses.
    public func sign(_ message: Span<UInt8>, _ scheme: SignatureScheme) throws(CryptoError) -> [UInt8] {
        guard scheme.fits(kind) else { throw CryptoError("The key is not of the kind that this algorithm takes") }
        guard let context = EVP_MD_CTX_new() else { throw .drained("No context for a signature") }
        defer { EVP_MD_CTX_free(context) }
        var inner: OpaquePointer?
        let hash = scheme.hash?.implementation.pointer
        guard scheme.hash == nil || hash != nil,
            EVP_DigestSignInit(context, &inner, hash, nil, handle.pointer) == 1, scheme.configure(inner)
        else { throw .drained("The key cannot be used for signing") }
        var signature = [UInt8](repeating: 0, count: Int(EVP_PKEY_get_size(handle.pointer)))
        var length = signature.count
        // Safe: both buffers are valid for their counts while the closures run; `length` says how long the signature's is.
        let done = signature.withUnsafeMutableBufferPointer { signature in
            message.withUnsafeBufferPointer {
                EVP_DigestSign(context, signature.baseAddress, &length, $0.baseAddress, $0.count)
            }
        }
        guard done == 1, length <= signature.count else { throw .drained("Signing failed") }
        signature.removeLast(signature.count - length)
        guard case .ecdsa(let curve) = scheme else { return signature }
        guard let raw = ECDSASignature(curve).decode(signature) else { throw CryptoError("Signing failed") }
        return raw
    }
}

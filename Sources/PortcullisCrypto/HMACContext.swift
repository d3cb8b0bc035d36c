import COpenSSL

/// Owns an `EVP_MAC_CTX` that one key was given to. It is used again and again, by one thread at a time: taking in the key costs
/// more than the code of a short text.
public final class HMACContext {
    private let context: OpaquePointer
    private let byteCount: Int
    private var code = [64 of UInt8](repeating: 0)

    public init(_ key: HMACKey) throws(CryptoError) {
        guard let algorithm = EVP_MAC_fetch(nil, "HMAC", nil) else { throw .drained("HMAC is not available") }
        defer { EVP_MAC_free(algorithm) }
        guard let context = EVP_MAC_CTX_new(algorithm) else { throw .drained("No context for HMAC") }
        // The parameter is only read, though its type is of one that could be written.
        let name = UnsafeMutablePointer(mutating: key.hash.name.forever)
        let parameter: StaticString = "digest"
        var parameters = [
            OSSL_PARAM_construct_utf8_string(parameter.forever, name, 0), OSSL_PARAM_construct_end(),
        ]
        // Safe: OpenSSL copies the key before the closures end, and it is valid for its count until then; names live for ever.
        let done = key.secret.withSpan { secret in
            secret.withUnsafeBufferPointer { EVP_MAC_init(context, $0.baseAddress, $0.count, &parameters) }
        }
        guard done == 1 else {
            EVP_MAC_CTX_free(context)
            throw .drained("HMAC refused the key")
        }
        self.context = context
        self.byteCount = key.hash.byteCount
    }

    deinit {
        EVP_MAC_CTX_free(context)
    }

    private func compute(_ message: Span<UInt8>) -> Bool {
        var length = 0
        var output = code.mutableSpan
        // Safe: all buffers are valid for their counts while the closures run; 64 bytes hold every code. A nil key begins anew with
        // the one that the context has.
        let done = message.withUnsafeBufferPointer { message in
            output.withUnsafeMutableBufferPointer { output in
                EVP_MAC_init(context, nil, 0, nil) == 1
                    && EVP_MAC_update(context, message.baseAddress, message.count) == 1
                    && EVP_MAC_final(context, output.baseAddress, &length, output.count) == 1
            }
        }
        if !done { ERR_clear_error() }
        return done && length == byteCount
    }

    /// Whether the code is this key's for the message. It must be whole: a truncated one is refused.
    public func isValid(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        guard signature.count == byteCount, compute(message) else { return false }
        return ConstantTime.equal(signature, code.span.extracting(first: byteCount))
    }

    /// The code of a message.
    public func sign(_ message: Span<UInt8>) throws(CryptoError) -> [UInt8] {
        guard compute(message) else { throw CryptoError("HMAC failed") }
        var copy: [UInt8] = []
        copy.reserveCapacity(byteCount)
        for at in 0..<byteCount { copy.append(code[at]) }
        return copy
    }
}

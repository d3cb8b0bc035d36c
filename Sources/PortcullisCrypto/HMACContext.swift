/// The codes that a key gives (HMAC, RFC 2104). It is used again and again, by one thread at a time: the key is taken in once, as the state of
/// two hashes that each code goes on from.
public final class HMACContext {
    private var inner: RunningDigest
    private var outer: RunningDigest
    private let byteCount: Int
    private var code = [64 of UInt8](repeating: 0)

    public init(_ key: HMACKey) {
        inner = RunningDigest(key.hash)
        outer = inner
        byteCount = key.hash.byteCount
        var block = [UInt8](repeating: 0, count: key.hash.blockByteCount)
        key.secret.withSpan { secret in
            if secret.count <= block.count {
                for at in secret.indices { block[at] = secret[at] }
            } else {
                // A longer key is used as its digest.
                var hash = inner
                hash.update(secret)
                hash.finish(into: &code)
                for at in 0..<byteCount { block[at] = code[at] }
            }
        }
        for at in block.indices { block[at] ^= 0x36 }
        inner.update(block.span)
        for at in block.indices { block[at] ^= 0x36 ^ 0x5C }
        outer.update(block.span)
        SecretBytes.erase(&block)
    }

    deinit {
        inner.erase()
        outer.erase()
    }

    private func compute(_ message: Span<UInt8>) {
        var hash = inner
        hash.update(message)
        hash.finish(into: &code)
        hash = outer
        hash.update(code.span.extracting(first: byteCount))
        hash.finish(into: &code)
    }

    /// Whether the code is this key's for the message. It must be whole: a truncated one is refused.
    public func isValid(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        guard signature.count == byteCount else { return false }
        compute(message)
        return ConstantTime.equal(signature, code.span.extracting(first: byteCount))
    }

    /// The code of a message.
    public func sign(_ message: Span<UInt8>) -> [UInt8] {
        compute(message)
        return (0..<byteCount).map { code[$0] }
    }
}

import COpenSSL

/// The codes that a key gives (HMAC, RFC 2104). It is used again and again, by one thread at a time: the key is taken in once, as the states of
/// two hashes that each code goes on from.
public final class HMACContext {
    /// The states of an inner and an outer hash that have taken in a key.
    private struct Pair<State: HashState> {
        var inner: State
        var outer: State

        init(_ empty: State, blockByteCount: Int, _ key: HMACKey) {
            (inner, outer) = (empty, empty)
            var block = [UInt8](repeating: 0, count: blockByteCount)
            key.secret.withSpan { secret in
                if secret.count <= blockByteCount {
                    for at in secret.indices { block[at] = secret[at] }
                } else {
                    // A longer key is used as its digest.
                    var (hash, digest) = (empty, [64 of UInt8](repeating: 0))
                    hash.update(secret)
                    hash.finish(into: &digest)
                    for at in 0..<key.hash.byteCount { block[at] = digest[at] }
                    // Safe: it is bytes. It stands for the key.
                    withUnsafeMutableBytes(of: &digest) { OPENSSL_cleanse($0.baseAddress, $0.count) }
                }
            }
            for at in block.indices { block[at] ^= 0x36 }
            inner.update(block.span)
            for at in block.indices { block[at] ^= 0x36 ^ 0x5C }
            outer.update(block.span)
            SecretBytes.erase(&block)
        }

        func compute(_ message: Span<UInt8>, _ byteCount: Int, into code: inout [64 of UInt8]) {
            var hash = inner
            hash.update(message)
            hash.finish(into: &code)
            hash = outer
            hash.update(code.span.extracting(first: byteCount))
            hash.finish(into: &code)
        }
    }

    private enum States {
        case sha256(Pair<SHA256_CTX>)
        /// SHA-384 too.
        case sha512(Pair<SHA512_CTX>)
    }

    private var states: States
    private let byteCount: Int
    private var code = [64 of UInt8](repeating: 0)

    public init(_ key: HMACKey) {
        byteCount = key.hash.byteCount
        states =
            switch key.hash {
            case .sha256: .sha256(Pair(.sha256, blockByteCount: 64, key))
            case .sha384: .sha512(Pair(.sha384, blockByteCount: 128, key))
            case .sha512: .sha512(Pair(.sha512, blockByteCount: 128, key))
            }
    }

    deinit {
        // Safe: all of it is numbers, and nobody reads it any more.
        withUnsafeMutableBytes(of: &states) { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    private func compute(_ message: Span<UInt8>) {
        switch states {
        case .sha256(let pair): pair.compute(message, byteCount, into: &code)
        case .sha512(let pair): pair.compute(message, byteCount, into: &code)
        }
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

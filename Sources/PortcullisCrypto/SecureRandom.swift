import COpenSSL

/// Random bytes fit for keys and ids.
public enum SecureRandom {
    /// As many bytes from OpenSSL's generator, which the kernel seeds.
    public static func bytes(_ count: Int) throws(CryptoError) -> [UInt8] {
        guard (0...65536).contains(count) else {
            throw CryptoError("More random bytes were asked for than is sensible")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        // Safe: the buffer is valid for its count while the closure runs.
        let done = bytes.withUnsafeMutableBufferPointer { RAND_bytes($0.baseAddress, Int32($0.count)) }
        guard done == 1 else { throw .drained("No random bytes") }
        return bytes
    }
}

/// Comparisons whose duration tells nothing about where two texts differ.
public enum ConstantTime {
    /// Whether two texts are the same. Texts of different lengths are told apart at once: the length is no secret.
    public static func equal(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        // Safe: both buffers are valid for the count while the closures run.
        return left.withUnsafeBufferPointer { left in
            right.withUnsafeBufferPointer { right in
                left.count == 0 || CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
            }
        }
    }
}

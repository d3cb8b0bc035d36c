import COpenSSL

/// A hash under way (FIPS 180-4). A value: a beginning can be kept, and gone on from again and again.
///
/// It is OpenSSL's code by its low-level names. OpenSSL 3.0 would have EVP used instead, which asks for memory one to three times a digest;
/// three digests stand in each handshake. What is left out with it is the choice among providers.
protocol HashState {
    /// Safe while the bytes are valid: they are read within their count.
    mutating func update(_ bytes: UnsafeRawBufferPointer)
    /// Safe where the output has room for a digest of the function.
    mutating func finish(_ output: UnsafeMutablePointer<UInt8>)
}

extension HashState {
    mutating func update(_ bytes: Span<UInt8>) {
        // Safe: valid while the closure runs.
        bytes.withUnsafeBytes { update($0) }
    }

    /// Writes the digest to the front of a buffer that has room for the longest.
    mutating func finish(into output: inout [64 of UInt8]) {
        var output = output.mutableSpan
        // Safe: 64 bytes hold every digest.
        output.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { finish(base) } }
    }
}

extension SHA_CTX: HashState {
    static var sha1: SHA_CTX {
        var state = SHA_CTX()
        SHA1_Init(&state)
        return state
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA1_Update(&self, bytes.baseAddress, bytes.count)
    }

    mutating func finish(_ output: UnsafeMutablePointer<UInt8>) {
        SHA1_Final(output, &self)
    }
}

extension SHA256_CTX: HashState {
    static var sha256: SHA256_CTX {
        var state = SHA256_CTX()
        SHA256_Init(&state)
        return state
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA256_Update(&self, bytes.baseAddress, bytes.count)
    }

    mutating func finish(_ output: UnsafeMutablePointer<UInt8>) {
        SHA256_Final(output, &self)
    }
}

/// SHA-384 too: it knows how much of a digest was asked for.
extension SHA512_CTX: HashState {
    static var sha384: SHA512_CTX {
        var state = SHA512_CTX()
        SHA384_Init(&state)
        return state
    }

    static var sha512: SHA512_CTX {
        var state = SHA512_CTX()
        SHA512_Init(&state)
        return state
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA512_Update(&self, bytes.baseAddress, bytes.count)
    }

    mutating func finish(_ output: UnsafeMutablePointer<UInt8>) {
        SHA512_Final(output, &self)
    }
}

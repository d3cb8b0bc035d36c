import COpenSSL

/// A hash under way (FIPS 180-4). A value: a beginning can be kept, and gone on from again and again.
///
/// It is OpenSSL's code by its low-level names. OpenSSL 3.0 would have EVP used instead, which asks for memory one to three times a digest;
/// three digests stand in each handshake. What is left out with it is the choice among providers.
struct RunningDigest {
    private enum State {
        case sha1(SHA_CTX)
        case sha256(SHA256_CTX)
        /// SHA-384 too.
        case sha512(SHA512_CTX)
    }

    private var state: State

    /// SHA-1.
    static let sha1: RunningDigest = {
        var context = SHA_CTX()
        SHA1_Init(&context)
        return RunningDigest(state: .sha1(context))
    }()

    private init(state: State) {
        self.state = state
    }

    init(_ function: HashFunction) {
        switch function {
        case .sha256:
            var context = SHA256_CTX()
            SHA256_Init(&context)
            state = .sha256(context)
        case .sha384:
            var context = SHA512_CTX()
            SHA384_Init(&context)
            state = .sha512(context)
        case .sha512:
            var context = SHA512_CTX()
            SHA512_Init(&context)
            state = .sha512(context)
        }
    }

    mutating func update(_ bytes: Span<UInt8>) {
        // Safe: the bytes are read within their count while the closure runs.
        bytes.withUnsafeBytes { bytes in
            switch state {
            case .sha1(var context):
                SHA1_Update(&context, bytes.baseAddress, bytes.count)
                state = .sha1(context)
            case .sha256(var context):
                SHA256_Update(&context, bytes.baseAddress, bytes.count)
                state = .sha256(context)
            case .sha512(var context):
                SHA512_Update(&context, bytes.baseAddress, bytes.count)
                state = .sha512(context)
            }
        }
    }

    /// Writes the digest to the front of a buffer that has room for the longest.
    consuming func finish(into output: inout [64 of UInt8]) {
        var output = output.mutableSpan
        // Safe: 64 bytes hold every digest.
        _ = output.withUnsafeMutableBufferPointer { output in
            switch state {
            case .sha1(var context): SHA1_Final(output.baseAddress, &context)
            case .sha256(var context): SHA256_Final(output.baseAddress, &context)
            // It knows how much of a digest was asked for.
            case .sha512(var context): SHA512_Final(output.baseAddress, &context)
            }
        }
    }

    /// Overwrites what was taken in, for good: the hash is not to be used any more.
    mutating func erase() {
        // Safe: all of it is numbers, for which zeros are values like any others.
        withUnsafeMutableBytes(of: &state) { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }
}

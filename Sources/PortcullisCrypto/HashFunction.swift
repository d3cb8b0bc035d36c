import COpenSSL

/// The hash functions that signatures are made with (RFC 7518, section 3.1).
public enum HashFunction: String, CaseIterable, Sendable {
    case sha256 = "SHA256"
    case sha384 = "SHA384"
    case sha512 = "SHA512"

    /// The length of a digest.
    public var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// What OpenSSL calls it.
    var name: StaticString {
        switch self {
        case .sha256: "SHA256"
        case .sha384: "SHA384"
        case .sha512: "SHA512"
        }
    }

    var implementation: DigestImplementation {
        switch self {
        case .sha256: .sha256
        case .sha384: .sha384
        case .sha512: .sha512
        }
    }
}

/// SHA-1, for the accept key of a WebSocket handshake (RFC 6455, section 4.2.2), where its weakness does no harm. Nothing else.
///
/// Owns an `EVP_MD_CTX`, which is used again and again by one thread at a time: to make one takes three allocations.
public final class SHA1Context {
    private let context: OpaquePointer

    /// Throws only where OpenSSL is configured without the function, or without memory.
    public init() throws(CryptoError) {
        guard let context = EVP_MD_CTX_new() else { throw .drained("No context for SHA-1") }
        self.context = context
    }

    deinit {
        EVP_MD_CTX_free(context)
    }

    /// The digest of a text.
    public func digest(_ text: Span<UInt8>) throws(CryptoError) -> [20 of UInt8] {
        guard let implementation = DigestImplementation.sha1.pointer else {
            throw CryptoError("The hash function is not available")
        }
        var digest = [20 of UInt8](repeating: 0)
        var output = digest.mutableSpan
        // Safe: both buffers are valid for their counts while the closures run, and the output holds a whole digest.
        let done = text.withUnsafeBufferPointer { text in
            output.withUnsafeMutableBufferPointer { output in
                EVP_DigestInit_ex(context, implementation, nil) == 1
                    && EVP_DigestUpdate(context, text.baseAddress, text.count) == 1
                    && EVP_DigestFinal_ex(context, output.baseAddress, nil) == 1
            }
        }
        guard done else { throw .drained("Hashing failed") }
        return digest
    }
}

/// SHA-256.
public enum SHA256 {
    /// The digest of a text. Throws only where OpenSSL is configured without the function, or without memory.
    public static func digest(_ text: Span<UInt8>) throws(CryptoError) -> [32 of UInt8] {
        var digest = [32 of UInt8](repeating: 0)
        var output = digest.mutableSpan
        try DigestImplementation.sha256.digest(text, into: &output)
        return digest
    }
}

/// Owns a fetched `EVP_MD`. Fetched once a process: a look-up by name costs more than hashing a token.
final class DigestImplementation: @unchecked Sendable {
    // Sendable: the pointer is set once, and OpenSSL's fetched algorithms are immutable and may be used by all threads.
    let pointer: OpaquePointer?
    private let byteCount: Int

    static let sha1 = DigestImplementation("SHA1", byteCount: 20)
    static let sha256 = DigestImplementation("SHA256", byteCount: 32)
    static let sha384 = DigestImplementation("SHA384", byteCount: 48)
    static let sha512 = DigestImplementation("SHA512", byteCount: 64)

    private init(_ name: StaticString, byteCount: Int) {
        self.pointer = EVP_MD_fetch(nil, name.forever, nil)
        self.byteCount = byteCount
        ERR_clear_error()
    }

    deinit {
        EVP_MD_free(pointer)
    }

    func digest(_ text: Span<UInt8>, into output: inout MutableSpan<UInt8>) throws(CryptoError) {
        guard let pointer, output.count == byteCount else { throw CryptoError("The hash function is not available") }
        // Safe: both buffers are valid for their counts while the closures run, and the output holds a whole digest.
        let done = text.withUnsafeBufferPointer { text in
            output.withUnsafeMutableBufferPointer { output in
                EVP_Digest(text.baseAddress, text.count, output.baseAddress, nil, pointer, nil)
            }
        }
        guard done == 1 else { throw .drained("Hashing failed") }
    }
}

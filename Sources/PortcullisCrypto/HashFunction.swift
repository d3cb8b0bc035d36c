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
public enum SHA1 {
    /// The digest of a text.
    public static func digest(_ text: Span<UInt8>) -> [20 of UInt8] {
        var digest = [20 of UInt8](repeating: 0)
        var output = digest.mutableSpan
        var state = SHA_CTX.sha1
        state.update(text)
        // Safe: there is room for exactly a digest.
        output.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { state.finish(base) } }
        return digest
    }
}

/// SHA-256.
public enum SHA256 {
    /// The digest of a text.
    public static func digest(_ text: Span<UInt8>) -> [32 of UInt8] {
        var digest = [32 of UInt8](repeating: 0)
        var output = digest.mutableSpan
        var state = SHA256_CTX.sha256
        state.update(text)
        // Safe: there is room for exactly a digest.
        output.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { state.finish(base) } }
        return digest
    }
}

/// Owns a fetched `EVP_MD`, for signatures. Fetched once a process: a look-up by name costs more than hashing a token.
final class DigestImplementation: @unchecked Sendable {
    // Sendable: the pointer is set once, and OpenSSL's fetched algorithms are immutable and may be used by all threads.
    let pointer: OpaquePointer?

    static let sha256 = DigestImplementation(.sha256)
    static let sha384 = DigestImplementation(.sha384)
    static let sha512 = DigestImplementation(.sha512)

    private init(_ function: HashFunction) {
        self.pointer = EVP_MD_fetch(nil, function.name.forever, nil)
        ERR_clear_error()
    }

    deinit {
        EVP_MD_free(pointer)
    }
}

import COpenSSL

/// Bytes that must not be seen: in memory of their own, overwritten when they are no longer needed, and never printed.
public final class SecretBytes: @unchecked Sendable {
    // Sendable: written in `init` only.
    private let storage: UnsafeMutableBufferPointer<UInt8>

    /// Copies the bytes.
    public init(_ bytes: Span<UInt8>) {
        storage = .allocate(capacity: bytes.count)
        // Safe: the storage has room for exactly these bytes, and every one of them is initialized here.
        bytes.withUnsafeBufferPointer { _ = storage.initialize(fromContentsOf: $0) }
    }

    deinit {
        // Safe: nobody else holds the storage; `OPENSSL_cleanse` is not optimized away, unlike a plain loop.
        OPENSSL_cleanse(storage.baseAddress, storage.count)
        storage.deallocate()
    }

    public var count: Int {
        storage.count
    }

    /// Lends the bytes. The span cannot leave the closure.
    public func withSpan<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Safe: `self` outlives the call, and with it the storage.
        try withExtendedLifetime(self) { () throws(Failure) -> Result in
            try body(UnsafeBufferPointer(storage).span)
        }
    }

    /// Overwrites bytes that held a secret, such as the buffer that a file was read into.
    public static func erase(_ bytes: inout [UInt8]) {
        // Safe: the buffer is valid for its count while the closure runs.
        bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
        bytes.removeAll()
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "\(count) secret bytes (redacted)"
    }

    public var debugDescription: String {
        description
    }

    /// Without it `dump` would look inside.
    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

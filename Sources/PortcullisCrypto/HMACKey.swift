/// A secret and the hash function it is used with (RFC 2104). Nothing makes one of a public key.
public final class HMACKey: Sendable {
    public let hash: HashFunction
    let secret: SecretBytes

    public init(_ secret: SecretBytes, hash: HashFunction) {
        self.secret = secret
        self.hash = hash
    }

    /// The length of the secret.
    public var byteCount: Int {
        secret.count
    }

    /// Whether two keys are the same secret for the same hash function, told in constant time.
    public func isSame(as other: HMACKey) -> Bool {
        guard hash == other.hash else { return false }
        return secret.withSpan { own in other.secret.withSpan { ConstantTime.equal(own, $0) } }
    }
}

extension HMACKey: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "HMAC \(hash.rawValue) key (redacted)"
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

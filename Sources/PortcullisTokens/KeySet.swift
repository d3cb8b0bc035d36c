public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// The keys of one issuer.
public struct KeySet: Sendable {
    /// A key of a JWK text that cannot be used, and why: a set with keys for other purposes is nothing unusual.
    public struct Refused: Hashable, Sendable {
        public let kid: Identifier?
        /// One sentence.
        public let reason: String
    }

    public let keys: [VerificationKey]
    public let refused: [Refused]

    public static let empty = KeySet(unchecked: [], refused: [])

    private init(unchecked keys: [VerificationKey], refused: [Refused]) {
        self.keys = keys
        self.refused = refused
    }

    /// - Throws: where two keys have the same name, so that a token could not say which of them it means.
    public init(_ keys: [VerificationKey], refused: [Refused] = []) throws(KeyError) {
        var names = Set<Identifier>()
        for key in keys {
            guard let kid = key.kid else { continue }
            guard names.insert(kid).inserted else {
                throw KeyError("Two keys have the key id \"\(kid)\". Give each key an id of its own.")
            }
        }
        self.init(unchecked: keys, refused: refused)
    }

    /// These keys and others together, as where an issuer has a secret file and a key file.
    public func adding(_ other: KeySet) throws(KeyError) -> KeySet {
        try KeySet(keys + other.keys, refused: refused + other.refused)
    }

    /// The place of the key that a token means: the one of that name, or the only one where either of them has no name.
    func index(of kid: Span<UInt8>?) -> Int? {
        guard let kid else { return keys.count == 1 ? 0 : nil }
        for index in keys.indices {
            let key = keys[index]
            if Self.same(key.kid, kid) || Self.same(key.thumbprint, kid) { return index }
        }
        return keys.count == 1 && keys[0].kid == nil ? 0 : nil
    }

    private static func same(_ name: Identifier?, _ kid: Span<UInt8>) -> Bool {
        guard let name, name.bytes.count == kid.count else { return false }
        for at in kid.indices where name.bytes[at] != kid[at] { return false }
        return true
    }

    /// Whether a token may mean a key of the set by that name.
    public func holds(_ kid: Identifier) -> Bool {
        index(of: kid.bytes.span) != nil
    }

    /// Whether any key has that algorithm.
    func uses(_ algorithm: Algorithm) -> Bool {
        for index in keys.indices where keys[index].algorithm == algorithm { return true }
        return false
    }
}

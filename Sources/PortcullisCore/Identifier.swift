/// The id of a user, session, token, tenant, device, key, issuer or resource: the bytes it was written with.
///
/// Two identifiers are equal when their bytes are. `String` compares by Unicode equivalence, by which a revocation of one user
/// could touch another whose id is spelled with other bytes.
public struct Identifier: Hashable, Sendable {
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    public init(_ text: String) {
        self.bytes = Array(text.utf8)
    }

    public static func == (left: Identifier, right: Identifier) -> Bool {
        left.bytes == right.bytes
    }

    public func hash(into hasher: inout Hasher) {
        // One call for all bytes: an array's own hash feeds them one by one.
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// Whether these bytes may name somebody: 1–255 of them, UTF-8, no control characters (C0, DEL).
    public var isWellFormed: Bool {
        guard (1...255).contains(bytes.count) else { return false }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return false }
        return String(validating: bytes, as: UTF8.self) != nil
    }
}

extension Identifier: CustomStringConvertible {
    /// The bytes as text; what is not UTF-8 is shown as U+FFFD.
    public var description: String {
        String(decoding: bytes, as: UTF8.self)
    }
}

extension Identifier: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) {
        self.init(text)
    }
}

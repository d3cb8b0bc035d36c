import PortcullisCore
import PortcullisWire

/// Gathers the ids of an identity, field after field.
struct IdentityText {
    private var text: [UInt8] = []
    private var ends = [8 of UInt16](repeating: 0)

    /// - Parameter capacity: as many bytes as the ids can have together.
    init(capacity: Int) {
        text.reserveCapacity(capacity)
    }

    /// Whether text that is known to be UTF-8 may be an id: what ``Identifier/isWellFormed`` asks besides.
    static func isWellFormed(_ text: Span<UInt8>) -> Bool {
        (1...255).contains(text.count) && text.endOfText(from: 0) == text.count
    }

    /// Adds an id of the field that ``end(_:)`` then ends.
    /// - Returns: whether it is one.
    mutating func append(_ id: Span<UInt8>) -> Bool {
        guard Self.isWellFormed(id) else { return false }
        text.append(0..<id.count, of: id)
        return true
    }

    mutating func append(hexadecimal bytes: Span<UInt8>) {
        Hexadecimal.append(bytes, to: &text)
    }

    mutating func append(_ id: Identifier) {
        text.append(contentsOf: id.bytes)
    }

    /// Ends a field. Fields come in the order of their raw values.
    mutating func end(_ field: Identity.Field) {
        ends[field.rawValue] = UInt16(clamping: text.count)
    }

    func identity(
        issued: WallTime?,
        expires: WallTime,
        authenticated: WallTime?,
        permissions: [Identifier: Role]
    ) -> Identity {
        Identity(
            text: text,
            ends: ends,
            issued: issued,
            expires: expires,
            authenticated: authenticated,
            kind: .token,
            permissions: permissions
        )
    }
}

import PortcullisCore

/// Gathers the ids of an identity, field after field.
struct IdentityText {
    private var text: [UInt8] = []
    private var ends = [8 of Int](repeating: 0)

    /// - Parameter capacity: as many bytes as the ids can have together.
    init(capacity: Int) {
        text.reserveCapacity(capacity)
    }

    /// Whether text that is known to be UTF-8 may be an id: what ``Identifier/isWellFormed`` asks besides.
    static func isWellFormed(_ text: Span<UInt8>) -> Bool {
        guard (1...255).contains(text.count) else { return false }
        for at in text.indices where text[at] < 0x20 || text[at] == 0x7F { return false }
        return true
    }

    /// Adds an id of the field that ``end(_:)`` then ends.
    /// - Returns: whether it is one.
    mutating func append(_ id: Span<UInt8>) -> Bool {
        guard Self.isWellFormed(id) else { return false }
        // Safe: the buffer is read within its count while the closure runs.
        id.withUnsafeBufferPointer { text.append(contentsOf: $0) }
        return true
    }

    mutating func append(_ id: Identifier) {
        text.append(contentsOf: id.bytes)
    }

    /// Ends a field. Fields come in the order of their raw values.
    mutating func end(_ field: Identity.Field) {
        ends[field.rawValue] = text.count
    }

    private func id(_ field: Identity.Field) -> Identifier {
        let start = field.rawValue == 0 ? 0 : ends[field.rawValue - 1]
        return Identifier(bytes: Array(text[start..<ends[field.rawValue]]))
    }

    func identity(
        issued: WallTime?,
        expires: WallTime,
        authenticated: WallTime?,
        permissions: [Identifier: Role]
    ) -> Identity {
        var ids: [Identity.Field: Identifier] = [:]
        ids.reserveCapacity(8)
        for field in Identity.Field.allCases where field != .user {
            let id = id(field)
            if !id.bytes.isEmpty { ids[field] = id }
        }
        return Identity(
            user: id(.user),
            ids: ids,
            issued: issued,
            expires: expires,
            authenticated: authenticated,
            kind: .token,
            permissions: permissions
        )
    }
}

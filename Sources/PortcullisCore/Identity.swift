/// Who a connection belongs to: what a verified token or a session says. Immutable and shared.
///
/// A gate holds one for every connection, so the ids stand one behind the other in a single array, and are compared and hashed where
/// they stand.
public final class Identity: Sendable {
    /// The ids that a selector can name.
    public enum Field: Int, CaseIterable, Sendable {
        case user
        case session
        case token
        case tokenHash
        case tenant
        case device
        case key
        case issuer
    }

    private let text: [UInt8]
    /// Where the id of each field ends in `text`. An id that is absent is empty: no present one is.
    private let ends: [8 of UInt16]

    /// When the credential was issued; nil where it does not say.
    public let issued: WallTime?
    /// When it ends; nil where nothing expires.
    public let expires: WallTime?
    /// When the user last authenticated (OpenID Connect `auth_time`).
    public let authenticated: WallTime?
    public let kind: CredentialKind
    /// The roles that the credential itself claims.
    public let permissions: [Identifier: Role]

    /// - Parameter ids: each at most 255 bytes, in any order; what is longer is cut, an empty one is absent.
    public init(
        user: Identifier,
        ids: [Field: Identifier] = [:],
        issued: WallTime? = nil,
        expires: WallTime? = nil,
        authenticated: WallTime? = nil,
        kind: CredentialKind = .token,
        permissions: [Identifier: Role] = [:]
    ) {
        var text: [UInt8] = []
        var ends = [8 of UInt16](repeating: 0)
        text.reserveCapacity(ids.values.reduce(min(user.bytes.count, 255)) { $0 + min($1.bytes.count, 255) })
        for field in Field.allCases {
            let id = field == .user ? user : ids[field]
            if let id { text.append(contentsOf: id.bytes.prefix(255)) }
            ends[field.rawValue] = UInt16(text.count)
        }
        self.text = text
        self.ends = ends
        self.issued = issued
        self.expires = expires
        self.authenticated = authenticated
        self.kind = kind
        self.permissions = permissions
    }

    /// An identity of ids that already stand one behind the other, which copies nothing.
    /// - Parameters:
    ///   - text: the ids in the order of ``Field``, each at most 255 bytes.
    ///   - ends: where each ends in `text`; what is beyond it or before the one in front is cut.
    public init(
        text: [UInt8],
        ends: [8 of UInt16],
        issued: WallTime?,
        expires: WallTime?,
        authenticated: WallTime?,
        kind: CredentialKind,
        permissions: [Identifier: Role]
    ) {
        var checked = ends
        var last: UInt16 = 0
        for field in 0..<8 {
            last = max(last, min(ends[field], UInt16(clamping: text.count)))
            checked[field] = last
        }
        self.text = text
        self.ends = checked
        self.issued = issued
        self.expires = expires
        self.authenticated = authenticated
        self.kind = kind
        self.permissions = permissions
    }

    /// The same of a credential that does not say when it was issued or when it ends, but of which that is known.
    public func dated(issued: WallTime?, expires: WallTime?) -> Identity {
        Identity(
            text: text,
            ends: ends,
            issued: issued,
            expires: expires,
            authenticated: authenticated,
            kind: kind,
            permissions: permissions
        )
    }

    private func range(of field: Field) -> Range<Int> {
        let start = field.rawValue == 0 ? 0 : Int(ends[field.rawValue - 1])
        return start..<Int(ends[field.rawValue])
    }

    public var user: Identifier {
        self[.user] ?? Identifier(bytes: [])
    }

    public subscript(field: Field) -> Identifier? {
        let range = range(of: field)
        return range.isEmpty ? nil : Identifier(bytes: Array(text[range]))
    }

    /// The bytes of a field where they stand; none where it is absent.
    public func withBytes(of field: Field, _ body: (Span<UInt8>) -> Void) {
        let ids = text
        body(ids.span.extracting(range(of: field)))
    }

    public func has(_ field: Field) -> Bool {
        !range(of: field).isEmpty
    }

    /// Whether the field holds exactly these bytes. Copies nothing.
    public func matches(_ field: Field, _ id: Identifier) -> Bool {
        let range = range(of: field)
        return range.count == id.bytes.count && text[range].elementsEqual(id.bytes)
    }

    /// Whether the field holds exactly these bytes.
    public func matches(_ field: Field, _ bytes: Span<UInt8>) -> Bool {
        let range = range(of: field)
        guard range.count == bytes.count else { return false }
        for at in bytes.indices where text[range.lowerBound + at] != bytes[at] { return false }
        return true
    }

    /// Whether two identities hold the same bytes in a field.
    public func matches(_ field: Field, _ other: Identity) -> Bool {
        let mine = range(of: field)
        let theirs = other.range(of: field)
        return mine.count == theirs.count && text[mine].elementsEqual(other.text[theirs])
    }

    /// About as many bytes as it takes in memory.
    public var footprint: Int {
        var bytes = 112 + 32 + text.count
        // The entry of the dictionary, and the array of the name.
        for resource in permissions.keys { bytes += 64 + resource.bytes.count }
        return bytes
    }

    /// The hash of a field's bytes, equal to ``Identifier/hashValue`` of the same bytes.
    public func hash(_ field: Field) -> Int {
        var hasher = Hasher()
        let range = range(of: field)
        text.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[range])) }
        return hasher.finalize()
    }
}

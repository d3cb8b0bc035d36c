/// Which values of the header's `typ` are accepted (RFC 7515, section 4.1.9; RFC 9068, section 2.1).
public struct TokenTypes: Hashable, Sendable {
    /// In lower case, without `application/`.
    private let names: [[UInt8]]
    /// Whether a token without `typ` is accepted.
    public let acceptsAbsent: Bool

    /// `JWT`, `at+jwt`, or none.
    public static let standard = TokenTypes(["JWT", "at+jwt", "none"])

    /// - Parameter names: in any case, with or without `application/`; `none` accepts tokens that say nothing.
    public init(_ names: [String]) {
        let names = names.map { Self.plain(Array($0.lowercased().utf8)) }
        self.acceptsAbsent = names.contains(Array("none".utf8))
        self.names = names.filter { $0 != Array("none".utf8) }
    }

    private static let prefix = Array("application/".utf8)

    private static func plain(_ name: [UInt8]) -> [UInt8] {
        name.starts(with: prefix) ? Array(name.dropFirst(prefix.count)) : name
    }

    /// Whether this value of `typ` is accepted. Media types are compared without case.
    func accepts(_ type: Span<UInt8>) -> Bool {
        let start = Self.matches(Self.prefix, type, from: 0) ? Self.prefix.count : 0
        for index in names.indices
        where names[index].count == type.count - start && Self.matches(names[index], type, from: start) {
            return true
        }
        return false
    }

    private static func matches(_ name: [UInt8], _ type: Span<UInt8>, from start: Int) -> Bool {
        guard start + name.count <= type.count else { return false }
        for at in name.indices {
            let byte = type[start + at]
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            if lower != name[at] { return false }
        }
        return true
    }
}

extension TokenTypes: CustomStringConvertible {
    /// The names in lower case, as they may be written.
    public var description: String {
        let texts = names.map { String(decoding: $0, as: UTF8.self) } + (acceptsAbsent ? ["none at all"] : [])
        return texts.joined(separator: ", ")
    }
}

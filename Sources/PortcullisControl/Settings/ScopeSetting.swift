import PortcullisCore

/// What an OAuth scope (RFC 6749, section 3.3) allows: a role on a resource. Written `docs.write doc:42 editor`.
public struct ScopeSetting: Equatable, Sendable {
    public var scope: String
    public var resource: String
    public var role: String

    /// nil where the text is not three words: a scope-token, a resource and the name of a role. The words in the middle are the
    /// resource, which may hold spaces.
    init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 3, let scope = words.first, let role = words.last else { return nil }
        let resource = words.dropFirst().dropLast().joined(separator: " ")
        // %x21 / %x23-5B / %x5D-7E
        let isScope = scope.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
        guard !scope.isEmpty, isScope, !role.isEmpty, !resource.hasPrefix(" "), !resource.hasSuffix(" "),
            Identifier(resource).isWellFormed
        else { return nil }
        self.scope = String(scope)
        self.resource = resource
        self.role = String(role)
    }

    var text: String { "\(scope) \(resource) \(role)" }
}

extension SettingKind where Value == [ScopeSetting] {
    static var scopes: SettingKind {
        .list(
            of: .single(
                "a scope, a resource and a role, such as docs.write doc:42 editor",
                parse: { text throws(Mismatch) in
                    guard let scope = ScopeSetting(text) else {
                        throw Mismatch(
                            text:
                                "\(quoted(text)) does not fit: write a scope, a resource and a role, such as docs.write doc:42 editor"
                        )
                    }
                    return scope
                },
                show: { $0.text }
            )
        )
    }
}

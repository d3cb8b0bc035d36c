/// What a user may do with a resource: its rank in the configured order of roles, the least first.
public struct Role: Hashable, Comparable, Sendable {
    public let rank: UInt8

    public init(rank: UInt8) {
        self.rank = rank
    }

    public static func < (left: Role, right: Role) -> Bool {
        left.rank < right.rank
    }
}

/// The names of the roles in their order (`resources.roles`).
public struct RoleOrder: Equatable, Sendable {
    public let names: [Identifier]
    /// The least role that may join a resource.
    public let viewer: Role
    /// The least role that may publish to a resource.
    public let editor: Role

    public static let standard = RoleOrder(
        names: ["viewer", "commenter", "editor", "owner"],
        viewer: Role(rank: 0),
        editor: Role(rank: 2)
    )

    private init(names: [Identifier], viewer: Role, editor: Role) {
        self.names = names
        self.viewer = viewer
        self.editor = editor
    }

    /// nil where a name stands twice, is malformed, or `viewer` or `editor` is missing.
    public init?(names: [Identifier]) {
        guard names.count <= 64, Set(names).count == names.count, names.allSatisfy(\.isWellFormed),
            let viewer = names.firstIndex(of: "viewer"), let editor = names.firstIndex(of: "editor"), viewer < editor
        else { return nil }
        self.init(names: names, viewer: Role(rank: UInt8(viewer)), editor: Role(rank: UInt8(editor)))
    }

    public func role(named name: Identifier) -> Role? {
        names.firstIndex(of: name).map { Role(rank: UInt8($0)) }
    }

    public func name(of role: Role) -> Identifier {
        let rank = Int(role.rank)
        return rank < names.count ? names[rank] : "viewer"
    }
}

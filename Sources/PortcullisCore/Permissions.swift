/// What a stored permission says: a role, or that it was taken away, as of a version.
public struct Grant: Equatable, Sendable {
    public let version: Int64
    /// nil: taken away.
    public let role: Role?

    public init(version: Int64, role: Role?) {
        self.version = version
        self.role = role
    }

    /// The greatest version that an event may name. What Redis counts on from there stays exact in its numbers.
    public static let greatestNamed: Int64 = 1_000_000_000_000_000
    /// The greatest version that can stand anywhere; more was written by hand.
    public static let greatestVersion: Int64 = 2 * greatestNamed

    /// Reads `<version>:<role>`, as it stands in `P:perm:<user>`; nil where it is malformed or the role has no name here.
    public init?(stored: Identifier, roles: RoleOrder) {
        guard let colon = stored.bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0, colon <= 18 else { return nil }
        var version: Int64 = 0
        for digit in stored.bytes[..<colon] {
            guard (0x30...0x39).contains(digit) else { return nil }
            version = version * 10 + Int64(digit - 0x30)
        }
        guard version <= Self.greatestVersion else { return nil }
        let name = stored.bytes[(colon + 1)...]
        guard !name.isEmpty else {
            self.init(version: version, role: nil)
            return
        }
        guard let role = roles.role(named: Identifier(bytes: Array(name))) else { return nil }
        self.init(version: version, role: role)
    }
}

/// The permissions that were changed while a user was connected: the newest grant of each user and resource. A handshake that read
/// an older one from Redis while the change was on its way is corrected by it.
public struct PermissionBook: Sendable {
    private var grants: [Identifier: [Identifier: Grant]] = [:]

    public init() {}

    /// How many users' changes are known.
    public var count: Int {
        grants.count
    }

    /// Takes up a change; false where it is not newer than what is known.
    public mutating func apply(_ user: Identifier, _ resource: Identifier, _ grant: Grant) -> Bool {
        if let known = grants[user]?[resource], known.version >= grant.version { return false }
        grants[user, default: [:]][resource] = grant
        return true
    }

    public func grant(_ user: Identifier, _ resource: Identifier) -> Grant? {
        grants[user]?[resource]
    }

    /// The user's last connection has gone: the next one reads Redis.
    public mutating func forget(_ user: Identifier) {
        grants[user] = nil
    }

    /// Gives up room that is for many more users.
    public mutating func shrink() {
        grants.shrink()
    }

    /// Redis has lost its versions and counts from the start again: any change that comes is newer than what is known.
    public mutating func resetVersions() {
        grants = grants.mapValues { $0.mapValues { Grant(version: 0, role: $0.role) } }
    }

    /// All that is known of a user.
    public func grants(of user: Identifier) -> [Identifier: Grant] {
        grants[user] ?? [:]
    }

    public static func newer(_ left: Grant?, _ right: Grant?) -> Grant? {
        guard let left else { return right }
        guard let right else { return left }
        return left.version >= right.version ? left : right
    }
}

public import PortcullisCore

/// The keys without a prefix that plain HTTP services share with the gates (redis.md, *Keys that other services share*).
public enum SharedKeys {
    public static func revoked(_ token: Identifier) -> [UInt8] { Array("revoked:".utf8) + token.bytes }
    public static func blacklisted(_ hash: Identifier) -> [UInt8] { Array("jwt_blacklist:".utf8) + hash.bytes }
    public static func version(_ user: Identifier) -> [UInt8] { Array("token_version:".utf8) + user.bytes }

    public static func active(_ user: Identifier, _ hash: Identifier) -> [UInt8] {
        Array("active_token:".utf8) + user.bytes + [UInt8(ascii: ":")] + hash.bytes
    }
}

/// What Redis is asked about a token at its handshake, in one command with the permission.
public struct TokenCheck: Equatable, Sendable {
    public var user: Identifier
    /// The token's id (`jti`), where it has one.
    public var token: Identifier?
    public var hash: Identifier
    /// Whether the keys that say what is revoked are asked (`tokens.shared_keys`).
    public var asksRevocations: Bool
    /// Whether the token must be present (`tokens.mode: hybrid`).
    public var asksActive: Bool
    /// Whose stored role is wanted; nil: none.
    public var resource: Identifier?

    public init(
        user: Identifier,
        token: Identifier?,
        hash: Identifier,
        asksRevocations: Bool,
        asksActive: Bool,
        resource: Identifier?
    ) {
        self.user = user
        self.token = token
        self.hash = hash
        self.asksRevocations = asksRevocations
        self.asksActive = asksActive
        self.resource = resource
    }

    /// What Redis says.
    public struct Answer: Equatable, Sendable {
        /// Whether a key says that the token is revoked.
        public var isRevoked: Bool
        /// The least version that is accepted, as it is stored; nil: any.
        public var leastVersion: [UInt8]?
        /// Whether the token is among the active ones; true where that was not asked.
        public var isActive: Bool
        /// The stored role; nil: none.
        public var grant: [UInt8]?

        public init(isRevoked: Bool, leastVersion: [UInt8]?, isActive: Bool, grant: [UInt8]?) {
            self.isRevoked = isRevoked
            self.leastVersion = leastVersion
            self.isActive = isActive
            self.grant = grant
        }

        /// nil where the reply is not one to ``TokenCheck/command(_:)``.
        public init?(_ reply: RESPValue) {
            guard let parts = reply.array, parts.count == 4, let revoked = parts[0].integer,
                let active = parts[2].integer, [parts[1], parts[3]].allSatisfy({ $0 == .null || $0.bytes != nil })
            else { return nil }
            self.init(isRevoked: revoked > 0, leastVersion: parts[1].bytes, isActive: active > 0, grant: parts[3].bytes)
        }
    }

    /// ARGV: how many keys say that the token is revoked, whether the version is asked, whether it must be active, the resource. A key
    /// of the wrong type is an error, which refuses this handshake and no other.
    private static let text = """
        local at = 0
        local function key() at = at + 1 return KEYS[at] end
        local revoked, version, active, grant = 0, false, 1, false
        for _ = 1, tonumber(ARGV[1]) do revoked = revoked + redis.call('EXISTS', key()) end
        if ARGV[2] == '1' then version = redis.call('GET', key()) end
        local token, life
        if ARGV[3] == '1' then
          token, life = key(), key()
          active = redis.call('EXISTS', token)
        end
        if ARGV[4] ~= '' then grant = redis.call('HGET', key(), ARGV[4]) end
        if token and active == 1 and revoked == 0 then
          \(Scripts.slide)
          slide(token, life, 0)
        end
        return {revoked, version, active, grant}
        """

    public func command(_ keys: Keys) -> Command {
        var names: [[UInt8]] = []
        if asksRevocations {
            if let token { names.append(SharedKeys.revoked(token)) }
            names.append(SharedKeys.blacklisted(hash))
        }
        let revocations = names.count
        if asksRevocations { names.append(SharedKeys.version(user)) }
        if asksActive {
            let active = SharedKeys.active(user, hash)
            names += [active, keys.life(active)]
        }
        if resource != nil { names.append(keys.permissions(of: user)) }
        let flags = [String(revocations), asksRevocations ? "1" : "0", asksActive ? "1" : "0"]
        return Command(
            [Array("EVAL".utf8), Array(Self.text.utf8), Array(String(names.count).utf8)] + names
                + flags.map { Array($0.utf8) } + [resource?.bytes ?? []]
        )
    }
}

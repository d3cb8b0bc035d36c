/// Which keys verify the tokens of one issuer, and where its claims stand.
public struct IssuerSettings: Equatable, Sendable {
    /// The `iss` that its tokens carry; nil: unchecked.
    public var issuer: String?
    /// The `aud` that its tokens carry; nil: unchecked.
    public var audience: String?
    /// A file whose bytes are the HMAC secret, one trailing newline aside.
    public var secretFile: String?
    /// A PEM file with a public or private key.
    public var keyFile: String?
    /// A file or a URL with a JWK set.
    public var jwks: KeySetPlace?
    /// The one algorithm that is accepted; nil: the one that the key says.
    public var algorithm: Algorithm?
    public var claims = ClaimSettings()
    /// What the words of the claim `scope` allow.
    public var scopes: [ScopeSetting] = []

    /// Whether any key option is set.
    public var hasKey: Bool { secretFile != nil || keyFile != nil || jwks != nil }

    /// Names of RFC 7518 and RFC 8037.
    public enum Algorithm: String, CaseIterable, Sendable {
        case hs256 = "HS256"
        case hs384 = "HS384"
        case hs512 = "HS512"
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"
        case edDSA = "EdDSA"
    }
}

/// The claims (dotted paths) that say who somebody is.
public struct ClaimSettings: Equatable, Sendable {
    public var user = "sub"
    public var session = "sid"
    public var tenant = "tenant"
    public var device = "device"
    public var permissions = "permissions"
}

/// `tokens`: which JWTs are accepted and where they may stand.
public struct TokenSettings: Equatable, Sendable {
    /// The issuer that is configured directly below `tokens`.
    public var own = IssuerSettings()
    /// More issuers, by a name of the operator's.
    public var issuers: [String: IssuerSettings] = [:]
    /// Slack for `nbf` and for an `iat` in the future; `exp` has none.
    public var leeway = Duration.seconds(30)
    /// The longest life of a token that is accepted.
    public var longestLife = Duration.seconds(24 * 3600)
    /// Accepted `typ` headers.
    public var types: [TokenType] = [.jwt, .accessToken, .none]
    public var mode = Mode.stateless
    /// Whether the keys that other services share are asked.
    public var sharedKeys = false
    /// Where a JWT may stand.
    public var sources: [Source] = [.header, .subprotocol, .ticket]
    /// The name of a cookie that holds a JWT.
    public var cookie: String?
    /// How many verified tokens are remembered.
    public var cache = 20_000

    /// Whether any issuer has a key; if not, `serve` makes a secret in the state directory.
    public var hasKey: Bool { own.hasKey || issuers.values.contains { $0.hasKey } }

    /// A `typ` header that is accepted.
    public enum TokenType: String, CaseIterable, Sendable {
        case jwt = "JWT"
        case accessToken = "at+jwt"
        /// The header is absent.
        case none
    }

    public enum Mode: String, CaseIterable, Sendable {
        case stateless
        /// A token must also be active in Redis.
        case hybrid
    }

    /// A place of the handshake.
    public enum Source: String, CaseIterable, Sendable {
        case header
        case subprotocol
        case ticket
        case cookie
        case query
        case firstMessage = "first_message"
    }
}

/// `keys`: how key sets that are fetched by URL are renewed.
public struct KeySettings: Equatable, Sendable {
    public var refresh = Duration.seconds(600)
    /// The least time between two fetches that unknown keys cause.
    public var cooldown = Duration.seconds(30)
    /// Whether the connections of a key that was removed are closed.
    public var closeOnRemoval = false
}

/// `sessions`: server sessions in Redis.
public struct SessionSettings: Equatable, Sendable {
    public var enabled = true
    /// The template of the key: `{id}` or `{sha256}` stands for the session's id.
    public var key = "session:{id}"
    public var format = Format.json
    /// The dotted path of the user's id.
    public var userField = "user_id"
    public var cookie = "session_id"
    public var cookieSecretFile: String?
    public var cookieSecret: Secret?
    /// What a session is bound to.
    public var bind: [Binding] = []
    /// Whether the gate renews a session that is in use.
    public var touch = false
    /// How often every session is read again.
    public var sweep = Duration.seconds(30)
    public var longestLife = Duration.seconds(30 * 86_400)
    /// The dotted path of the time when the session was made.
    public var createdField = "created_at"

    public enum Format: String, CaseIterable, Sendable {
        case json
        case hash
        case msgpack
    }

    public enum Binding: String, CaseIterable, Sendable {
        case ip
        case userAgent = "user_agent"
        case device
    }
}

/// `limits`: what a connection, a user, an address and the gate may have.
public struct LimitSettings: Equatable, Sendable {
    /// The bytes of a request's head.
    public var head = 16 << 10
    /// The number of a request's headers.
    public var headers = 100
    /// The bytes of a token.
    public var token = 8 << 10
    /// The bytes of a message.
    public var message = 1 << 20
    /// The fragments of a message.
    public var fragments = 1024
    public var handshake = Duration.seconds(5)
    public var heartbeat = Duration.seconds(25)
    /// The bytes that may wait for a slow client.
    public var sendQueue = 1 << 20
    public var messagesPerSecond = 100
    public var bytesPerSecond = 1 << 20
    /// The time whose allowance may be used at once.
    public var burst = Duration.seconds(10)
    /// Pings, pongs and the like.
    public var controlPerSecond = 20
    /// Connections of the gate; nil: what the descriptor limit allows.
    public var connections: Int?
    /// 0: unlimited.
    public var connectionsPerUser = 0
    public var perUserPolicy = PerUserPolicy.refuse
    /// By source address; 0: off.
    public var handshakesPerSecond = 0
    /// By source address.
    public var failuresPerMinute = 60
    /// 0: off.
    public var connectionsPerAddress = 0
    /// Whether loopback and private addresses are limited too.
    public var throttlePrivate = false

    /// What happens to the connection beyond a user's cap.
    public enum PerUserPolicy: String, CaseIterable, Sendable {
        case refuse
        /// The oldest makes room.
        case replace
    }
}

public import PortcullisCore
public import PortcullisCrypto
public import PortcullisReactor
public import PortcullisRedis
public import PortcullisTokens
public import PortcullisWire

/// All that a gate is told when it starts. Values that reach it have been checked.
public struct GateConfiguration: Sendable {
    /// Where clients connect to; port 0: the kernel chooses.
    public var listen: Endpoint
    /// How clients' connections are secured; nil: not at all.
    public var tls: TLSContext?
    /// How many loops, each a thread with a listener of its own.
    public var loops: Int
    /// The gate's name among the gates of one Redis.
    public var node: String
    public var version: String
    public var path: BasePath
    public var subprotocols: [[UInt8]]
    public var relay: RelayMode

    public var redis: RedisURL
    /// Replicas that should have what is adopted before it counts as safe; 0: it is not asked.
    public var waitReplicas: Int
    public var keys: Keys
    public var lease: Milliseconds
    /// What becomes of clients while the view cannot be confirmed.
    public var mode: LoopLease.Mode
    /// How long a freeze may last before everybody is closed.
    public var freezeLimit: Milliseconds
    public var appendPolicy: AppendScript.Policy
    /// The key that events must be signed with; nil: they need no signature.
    public var eventKey: HMACKey?

    public var tokens: TokenPolicy
    /// Whether the keys that other services share are asked about each token (`tokens.shared_keys`).
    public var asksSharedKeys: Bool
    /// Whether a token must be among the active ones in Redis (`tokens.mode: hybrid`).
    public var asksActiveTokens: Bool
    /// Whether the connections of a key that was removed are closed (`keys.close_on_removal`).
    public var closesOnKeyRemoval: Bool
    public var credentials: CredentialSource
    public var origins: OriginPolicy
    public var refusal: RefusalStyle
    /// nil where sessions are off.
    public var sessions: SessionPolicy?

    public var roles: RoleOrder
    /// The role of everybody on every resource; nil: none.
    public var defaultRole: Role?
    /// The resources that need a fresh sign-in.
    public var stepUp: StepUp
    /// Whether the members of a room are told who comes and who goes (`resources.presence`).
    public var presence: Bool

    public var headLimits: HeadLimits
    public var messageLimits: MessageLimits
    public var handshake: Milliseconds
    /// What a turn of a loop spends on verifying tokens, in nanoseconds; who comes beyond it waits for the next.
    public var verificationShare: Int64
    public var heartbeat: Milliseconds
    /// How long before its credential ends a connection is told so.
    public var expiryNotice: Milliseconds
    /// Bytes that may wait for one connection.
    public var sendQueue: Int
    /// The proxies whose word is believed.
    public var forwarding: Forwarding
    public var proxyProtocol: ProxyProtocol
    /// What one connection may send (`limits.messages_per_second` and the like).
    public var rates: ConnectionRates
    /// How long a connection may be held back by its rates without a break.
    public var longestHolding: Milliseconds
    /// Connections of the whole gate.
    public var connections: Int
    /// How many connections a user may have on all gates.
    public var userCap: UserCap
    /// What one source address may do.
    public var throttle: AddressThrottle.Limits
    /// How long a condemned connection may take to go.
    public var closeDeadline: Milliseconds
    public var drainDeadline: Milliseconds
    public var drainRetryAfter: Milliseconds
    /// Whether each admission and close is reported: they cost a report each.
    public var reportsAdmissions: Bool

    public init(listen: Endpoint, loops: Int, node: String, redis: RedisURL, tokens: TokenPolicy) {
        self.listen = listen
        self.tls = nil
        self.loops = max(1, loops)
        self.node = node
        self.version = "0"
        self.path = .standard
        self.subprotocols = []
        self.relay = .rooms
        self.redis = redis
        self.waitReplicas = 0
        self.keys = Keys()
        self.lease = .seconds(5)
        self.mode = .strict
        self.freezeLimit = .seconds(60)
        self.appendPolicy = .init()
        self.eventKey = nil
        self.tokens = tokens
        self.asksSharedKeys = false
        self.asksActiveTokens = false
        self.closesOnKeyRemoval = false
        self.credentials = CredentialSource()
        self.origins = .sameOrigin
        self.refusal = .auto
        self.sessions = SessionPolicy(
            key: SessionKey("session:{id}") ?? .plain,
            codec: SessionCodec(userField: "user_id", createdField: "created_at", roles: .standard)
        )
        self.roles = .standard
        self.defaultRole = nil
        self.stepUp = StepUp()
        self.presence = false
        self.headLimits = HeadLimits()
        self.messageLimits = MessageLimits()
        self.handshake = .seconds(5)
        self.verificationShare = 1_000_000
        self.heartbeat = .seconds(25)
        self.expiryNotice = .seconds(30)
        self.sendQueue = 1 << 20
        self.forwarding = Forwarding()
        self.proxyProtocol = .none
        self.rates = ConnectionRates()
        self.longestHolding = .seconds(10)
        self.connections = 19_000
        self.userCap = UserCap()
        self.throttle = AddressThrottle.Limits()
        self.closeDeadline = .seconds(2)
        self.drainDeadline = .seconds(5)
        self.drainRetryAfter = .seconds(10)
        self.reportsAdmissions = false
    }
}

/// What becomes of the messages of raw connections (`relay`).
public enum RelayMode: String, CaseIterable, Sendable {
    /// To the other connections on the resource.
    case rooms
    /// To the sender too, bound or not.
    case echo
    case off
}

/// How server sessions are found and read (`sessions`).
public struct SessionPolicy: Sendable {
    public var key: SessionKey
    public var codec: SessionCodec
    /// Older sessions are refused (`sessions.longest_life`).
    public var longestLife: Milliseconds
    /// The secret of signed cookies; nil where they are not signed.
    public var cookieKey: HMACKey?
    public var bind: SessionBinding
    /// Whether a session in use is renewed (`sessions.touch`).
    public var touches: Bool
    /// The time in which every session is read again once (`sessions.sweep`).
    public var sweep: Milliseconds

    public init(key: SessionKey, codec: SessionCodec, longestLife: Milliseconds = .seconds(30 * 86400)) {
        self.key = key
        self.codec = codec
        self.longestLife = longestLife
        cookieKey = nil
        bind = []
        touches = false
        sweep = .seconds(30)
    }
}

import Glibc
import Logging
public import PortcullisCore
public import PortcullisGate
public import PortcullisReactor
public import PortcullisRedis
public import PortcullisTokens
import PortcullisWire

/// Makes what the data plane is told out of the settings.
public enum GateAssembly {
    /// Descriptors that are not for clients: Redis, the admin listener, logs, epoll.
    private static let reservedDescriptors = 256

    /// - Parameters:
    ///   - redis: where Redis is, known by now.
    ///   - tokens: what verifies tokens.
    ///   - listen: where the gate listens already; nil: where the settings say.
    /// - Throws: ``StartupError`` where the settings ask for what cannot be had.
    public static func configuration(
        _ settings: Settings,
        redis: RedisURL,
        tokens: TokenPolicy,
        version: String,
        listen: Endpoint? = nil
    ) throws(StartupError) -> GateConfiguration {
        let place = if let listen { listen } else { try endpoint(settings.listen) }
        var gate = GateConfiguration(
            listen: place,
            loops: settings.loops ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))),
            node: settings.node ?? defaultNode(),
            redis: redis,
            tokens: tokens
        )
        let roles = try roles(settings)
        gate.version = version
        gate.tls = try ListenerCertificate.context(settings.tls)
        guard let path = BasePath(settings.path) else {
            throw StartupError("path: \(settings.path) is no path: write one such as /ws.")
        }
        gate.path = path
        gate.subprotocols = settings.subprotocols.map { Array($0.utf8) }
        gate.relay = RelayMode(rawValue: settings.relay.rawValue) ?? .rooms
        gate.waitReplicas = settings.redis.waitReplicas
        gate.keys = Keys(prefix: settings.redis.prefix)
        gate.lease = settings.guarantee.lease.inMilliseconds
        gate.mode = LoopLease.Mode(rawValue: settings.guarantee.mode.rawValue) ?? .strict
        gate.freezeLimit = settings.guarantee.freezeLimit.inMilliseconds
        gate.appendPolicy = appendPolicy(settings)
        gate.eventKey = try EventSecret.key(settings)
        gate.closesOnKeyRemoval = settings.keys.closeOnRemoval
        gate.credentials = credentials(settings)
        guard let origins = OriginPolicy(settings.origins) else {
            throw StartupError(
                "origins: one of them is no origin: write https://app.example.com or https://*.example.com."
            )
        }
        gate.origins = origins
        gate.refusal = RefusalStyle(rawValue: settings.refusal.rawValue) ?? .auto
        gate.sessions = try sessions(settings, roles)
        gate.roles = roles
        gate.defaultRole = settings.resources.defaultRole.flatMap { roles.role(named: Identifier($0)) }
        gate.stepUp = StepUp(
            settings.resources.stepUp.map { .init(ResourcePattern($0.pattern), within: $0.within.inMilliseconds) }
        )
        gate.presence = settings.resources.presence
        gate.asksSharedKeys = settings.tokens.sharedKeys
        gate.asksActiveTokens = settings.tokens.mode == .hybrid
        gate.headLimits = HeadLimits(bytes: settings.limits.head, lines: settings.limits.headers)
        gate.messageLimits = MessageLimits(bytes: settings.limits.message, fragments: settings.limits.fragments)
        gate.handshake = settings.limits.handshake.inMilliseconds
        gate.heartbeat = settings.limits.heartbeat.inMilliseconds
        gate.sendQueue = settings.limits.sendQueue
        gate.forwarding = Forwarding(trusted: try settings.proxy.trusted.map(network))
        gate.proxyProtocol = ProxyProtocol(rawValue: settings.proxy.protocol.rawValue) ?? .none
        gate.rates = ConnectionRates(
            messages: settings.limits.messagesPerSecond,
            bytes: settings.limits.bytesPerSecond,
            control: settings.limits.controlPerSecond,
            burst: settings.limits.burst.inMilliseconds
        )
        gate.connections = try connections(settings)
        gate.userCap = UserCap(
            connections: settings.limits.connectionsPerUser,
            policy: AdmissionScript.Policy(rawValue: settings.limits.perUserPolicy.rawValue) ?? .refuse
        )
        gate.throttle = AddressThrottle.Limits(
            failuresPerMinute: settings.limits.failuresPerMinute,
            handshakesPerSecond: settings.limits.handshakesPerSecond,
            connections: settings.limits.connectionsPerAddress,
            throttlesPrivate: settings.limits.throttlePrivate
        )
        gate.drainDeadline = settings.drain.deadline.inMilliseconds
        gate.drainRetryAfter = settings.drain.retryAfter.inMilliseconds
        gate.reportsAdmissions = settings.log.level <= .debug
        return gate
    }

    /// What the append script is told.
    public static func appendPolicy(_ settings: Settings) -> AppendScript.Policy {
        AppendScript.Policy(
            retention: settings.guarantee.retention.inMilliseconds,
            longestSession: settings.sessions.longestLife.inMilliseconds,
            longestToken: settings.tokens.longestLife.inMilliseconds
        )
    }

    /// The order of the roles; the settings' own rules have checked it.
    public static func roles(_ settings: Settings) throws(StartupError) -> RoleOrder {
        guard let roles = RoleOrder(names: settings.resources.roles.map { Identifier($0) }) else {
            throw StartupError("resources.roles: write at most 64 roles, the least first, with viewer before editor.")
        }
        return roles
    }

    private static func endpoint(_ address: ListenAddress) throws(StartupError) -> Endpoint {
        switch address {
        case .unix(let path): return .unix(path: path)
        case .tcp(let host, let port):
            if IPAddress(host) != nil { return .tcp(address: host, port: port) }
            do throws(SocketError) {
                if let first = try Endpoint.resolve(host: host, port: port).first { return first }
            } catch {
                throw StartupError("listen: \(host) is not the name of this machine: set listen to an address.")
            }
            throw StartupError("listen: \(host) has no address: set listen to one.")
        }
    }

    private static func network(_ text: String) throws(StartupError) -> IPNetwork {
        guard let network = IPNetwork(text) else {
            throw StartupError("proxy.trusted: \(text) is no address and no network: write one such as 10.0.0.0/8.")
        }
        return network
    }

    private static func defaultNode() -> String {
        var name = [CChar](repeating: 0, count: 256)
        let known = gethostname(&name, name.count - 1) == 0
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return "\(known ? String(decoding: bytes, as: UTF8.self) : "gate")-\(getpid())"
    }

    private static func credentials(_ settings: Settings) -> CredentialSource {
        var sources: Set<TokenSource> = []
        for source in settings.tokens.sources {
            switch source.rawValue {
            case "header": sources.insert(.header)
            case "subprotocol": sources.insert(.subprotocol)
            case "cookie": sources.insert(.cookie)
            case "query": sources.insert(.query)
            case "first_message": sources.insert(.firstMessage)
            default: break
            }
        }
        return CredentialSource(
            tokens: sources,
            tickets: settings.tokens.sources.contains(.ticket),
            tokenCookie: settings.tokens.cookie.map { Array($0.utf8) },
            sessionCookie: settings.sessions.enabled ? Array(settings.sessions.cookie.utf8) : nil,
            signsSessions: settings.sessions.cookieSecretFile != nil || settings.sessions.cookieSecret != nil,
            longestToken: settings.limits.token
        )
    }

    private static func sessions(_ settings: Settings, _ roles: RoleOrder) throws(StartupError) -> SessionPolicy? {
        guard settings.sessions.enabled else { return nil }
        guard let key = SessionKey(settings.sessions.key) else {
            throw StartupError("sessions.key: write a template with one {id} or {sha256} in it, such as session:{id}.")
        }
        var policy = SessionPolicy(
            key: key,
            codec: SessionCodec(
                format: SessionFormat(rawValue: settings.sessions.format.rawValue) ?? .json,
                userField: settings.sessions.userField,
                createdField: settings.sessions.createdField,
                roles: roles
            ),
            longestLife: settings.sessions.longestLife.inMilliseconds
        )
        policy.cookieKey = try CookieSecret.key(settings.sessions)
        for binding in settings.sessions.bind {
            switch binding {
            case .ip: policy.bind.insert(.address)
            case .userAgent: policy.bind.insert(.userAgent)
            case .device: policy.bind.insert(.device)
            }
        }
        policy.touches = settings.sessions.touch
        policy.sweep = settings.sessions.sweep.inMilliseconds
        return policy
    }

    /// The configured number of connections, or what the descriptor limit leaves, after that is raised as far as it goes.
    private static func connections(_ settings: Settings) throws(StartupError) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1000 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let most = max(1, Int(clamping: limit.rlim_cur) - reservedDescriptors)
        guard let wanted = settings.limits.connections else { return min(most, 10_000_000) }
        guard wanted <= most else {
            throw StartupError(
                "limits.connections: \(wanted) connections need \(wanted + reservedDescriptors) descriptors, but the limit is \(limit.rlim_cur): raise it with ulimit -n, or lower limits.connections."
            )
        }
        return wanted
    }
}

extension Duration {
    /// Reads `250ms`, `5s`, `15m`, `24h` or `30d`.
    public init?(setting text: String) {
        guard let duration = Units.duration(text) else { return nil }
        self = duration
    }

    /// Whole milliseconds, rounded down.
    public var inMilliseconds: Milliseconds {
        Milliseconds(wholeMilliseconds)
    }
}

/// Every key there is. Reading, the search for unknown keys, the environment's names and the effective configuration all come
/// from this table; the defaults stand in ``Settings``.
enum SettingsSchema {
    /// The keys whose names are fixed.
    static let rows: [SettingRow<Settings>] = general + redis + tokens + sessions + rules + limits + operation

    /// The keys below names of the operator's.
    static let groups: [SettingGroup] = [
        SettingGroup("tokens.issuers", \.tokens.issuers, rows: issuer) { settings in
            var issuer = IssuerSettings()
            issuer.claims = settings.tokens.own.claims
            issuer.scopes = settings.tokens.own.scopes
            return issuer
        },
        SettingGroup("tls.certificates", \.tls.certificates, rows: certificate) { _ in TLSSettings.Certificate() },
    ]

    /// All keys, with those of the names that `settings` uses.
    static func rows(of settings: Settings) -> [SettingRow<Settings>] {
        rows + groups.flatMap { group in group.names(settings).flatMap(group.rows) }
    }

    private static let count = 1...1_000_000_000
    private static let countOrOff = 0...1_000_000_000
    private static let bytes = 1...(1 << 30)

    private static let general: [SettingRow<Settings>] = [
        SettingRow("listen", \.listen, .address, "where clients connect"),
        SettingRow("admin", \.admin, .address, "where the admin API listens"),
        SettingRow("path", \.path, .matching("a path such as /ws", SettingsRules.isPath), "the WebSocket endpoint"),
        SettingRow(
            "node",
            \.node,
            .optional(
                .matching("1 to 128 letters, digits, dots, colons, hyphens or underscores", SettingsRules.isNodeName)
            ),
            unset: "host name and process id",
            "the gate's name"
        ),
        SettingRow("loops", \.loops, .optional(.number(1...256)), unset: "one a core", "threads that hold connections"),
        SettingRow(
            "state_dir",
            \.stateDirectory,
            .optional(.text("the path of a folder")),
            unset: "$XDG_STATE_HOME/portcullis, else ~/.local/state/portcullis",
            "the folder of what the gate keeps"
        ),
        SettingRow(
            "origins",
            \.origins,
            .list(
                of: .matching("an origin such as https://app.example or https://*.example.com", SettingsRules.isOrigin)
            ),
            "origins that may connect with a cookie besides the gate's own"
        ),
        SettingRow("refusal", \.refusal, .word, "how a refused handshake is answered"),
        SettingRow("relay", \.relay, .word, "where the messages of raw connections go"),
        SettingRow(
            "subprotocols",
            \.subprotocols,
            .list(of: .matching("a subprotocol's name (RFC 6455)", SettingsRules.isToken)),
            "subprotocols that are echoed for raw connections"
        ),
        SettingRow("admin_keys_file", \.adminKeysFile, .optional(.file), unset: "no admin keys", "the admin keys"),
    ]

    private static let redis: [SettingRow<Settings>] = [
        SettingRow(
            "redis.url",
            \.redis.url,
            .optional(.redisAddress),
            unset: "an embedded redis-server",
            "the server that all gates share"
        ),
        SettingRow("redis.password_file", \.redis.passwordFile, .optional(.file), unset: "no password", "its password"),
        SettingRow("redis.prefix", \.redis.prefix, .text(), "what every key and channel begins with"),
        SettingRow("redis.ca_file", \.redis.caFile, .optional(.file), unset: "the system's", "authorities for rediss"),
        SettingRow(
            "redis.wait_replicas",
            \.redis.waitReplicas,
            .number(0...100),
            "replicas that must have an append before it is acknowledged"
        ),
    ]

    private static let issuer: [SettingRow<IssuerSettings>] = [
        SettingRow("issuer", \.issuer, .optional(.text()), unset: "unchecked", "the `iss` of its tokens"),
        SettingRow("audience", \.audience, .optional(.text()), unset: "unchecked", "the `aud` of its tokens"),
        SettingRow("secret_file", \.secretFile, .optional(.file), unset: "none", "the HMAC secret"),
        SettingRow("key_file", \.keyFile, .optional(.file), unset: "none", "a key as PEM"),
        SettingRow(
            "jwks",
            \.jwks,
            .optional(.keySet),
            unset: "none",
            "a JWK set"
        ),
        SettingRow("algorithm", \.algorithm, .optional(.word), unset: "what the key says", "the one algorithm"),
        SettingRow("claims.user", \.claims.user, .text("the dotted path of a claim"), "the user"),
        SettingRow("claims.session", \.claims.session, .text("the dotted path of a claim"), "the session"),
        SettingRow("claims.tenant", \.claims.tenant, .text("the dotted path of a claim"), "the tenant"),
        SettingRow("claims.device", \.claims.device, .text("the dotted path of a claim"), "the device"),
        SettingRow("claims.permissions", \.claims.permissions, .text("the dotted path of a claim"), "the permissions"),
        SettingRow("scopes", \.scopes, .scopes, "the roles that scopes give, each `scope resource role`"),
    ]

    private static let tokens: [SettingRow<Settings>] =
        issuer.map { $0.within("tokens", \.tokens.own) } + [
            SettingRow("tokens.leeway", \.tokens.leeway, .duration(.zero ... .seconds(60)), "slack for nbf and iat"),
            SettingRow("tokens.longest_life", \.tokens.longestLife, .duration(), "the longest life of a token"),
            SettingRow("tokens.types", \.tokens.types, .list(of: .word, hasWordNone: true), "accepted typ headers"),
            SettingRow("tokens.mode", \.tokens.mode, .word, "whether a token must also be active in Redis"),
            SettingRow("tokens.shared_keys", \.tokens.sharedKeys, .flag, "whether other services' keys are asked"),
            SettingRow("tokens.sources", \.tokens.sources, .list(of: .word), "where a JWT may stand"),
            SettingRow(
                "tokens.cookie",
                \.tokens.cookie,
                .optional(.matching("a cookie's name (RFC 6265)", SettingsRules.isToken)),
                unset: "none",
                "the cookie that holds a JWT"
            ),
            SettingRow("tokens.cache", \.tokens.cache, .number(0...100_000_000), "verified tokens that are remembered"),
            SettingRow("keys.refresh", \.keys.refresh, .duration(), "how often a JWK set is fetched"),
            SettingRow("keys.cooldown", \.keys.cooldown, .duration(), "the least time between two fetches"),
            SettingRow(
                "keys.close_on_removal",
                \.keys.closeOnRemoval,
                .flag,
                "whether a removed key's connections close"
            ),
        ]

    private static let sessions: [SettingRow<Settings>] = [
        SettingRow("sessions.enabled", \.sessions.enabled, .flag, "whether session cookies are accepted"),
        SettingRow(
            "sessions.key",
            \.sessions.key,
            .matching("a template with {id} or {sha256} in it", SettingsRules.isSessionKey),
            "the key of a session in Redis"
        ),
        SettingRow("sessions.format", \.sessions.format, .word, "how a session is written"),
        SettingRow("sessions.user_field", \.sessions.userField, .text("the dotted path of a field"), "the user"),
        SettingRow(
            "sessions.cookie",
            \.sessions.cookie,
            .matching("a cookie's name (RFC 6265)", SettingsRules.isToken),
            "the cookie that holds the session's id"
        ),
        SettingRow(
            "sessions.cookie_secret_file",
            \.sessions.cookieSecretFile,
            .optional(.file),
            unset: "cookies are not signed",
            "the secret of signed cookies"
        ),
        SettingRow(
            "sessions.cookie_secret",
            \.sessions.cookieSecret,
            .optional(.secret),
            unset: "cookies are not signed",
            "the secret of signed cookies, written out"
        ),
        SettingRow("sessions.bind", \.sessions.bind, .list(of: .word), "what a session is bound to"),
        SettingRow("sessions.touch", \.sessions.touch, .flag, "whether a session in use is renewed"),
        SettingRow("sessions.sweep", \.sessions.sweep, .duration(), "how often every session is read again"),
        SettingRow("sessions.longest_life", \.sessions.longestLife, .duration(), "the longest life of a session"),
        SettingRow(
            "sessions.created_field",
            \.sessions.createdField,
            .text("the dotted path of a field"),
            "its creation"
        ),
    ]

    private static let rules: [SettingRow<Settings>] = [
        SettingRow(
            "resources.default_role",
            \.resources.defaultRole,
            .optional(.text("a role"), absent: "none"),
            unset: "none",
            "the role where nothing names one"
        ),
        SettingRow("resources.roles", \.resources.roles, .list(of: .text("a role")), "the roles, the least first"),
        SettingRow("resources.step_up", \.resources.stepUp, .stepUp, "resources that need a fresh sign-in"),
        SettingRow("resources.presence", \.resources.presence, .flag, "whether members are told who comes and goes"),
        SettingRow("guarantee.lease", \.guarantee.lease, .duration(), "how long a gate serves without confirmation"),
        SettingRow(
            "guarantee.freeze_limit",
            \.guarantee.freezeLimit,
            .duration(),
            "when a frozen gate closes everybody"
        ),
        SettingRow("guarantee.mode", \.guarantee.mode, .word, "what a frozen gate does"),
        SettingRow("guarantee.retention", \.guarantee.retention, .duration(), "how long the log keeps a decision"),
        SettingRow(
            "events.hmac_key_file",
            \.events.hmacKeyFile,
            .optional(.file),
            unset: "events need no signature",
            "the key that signs events"
        ),
    ]

    private static let limits: [SettingRow<Settings>] = [
        SettingRow("limits.head", \.limits.head, .size(512...(1 << 20)), "bytes of a request's head"),
        SettingRow("limits.headers", \.limits.headers, .number(1...10_000), "headers of a request"),
        SettingRow("limits.token", \.limits.token, .size(64...(1 << 20)), "bytes of a token"),
        SettingRow("limits.message", \.limits.message, .size(bytes), "bytes of a message"),
        SettingRow("limits.fragments", \.limits.fragments, .number(count), "fragments of a message"),
        SettingRow("limits.handshake", \.limits.handshake, .duration(), "time for a handshake"),
        SettingRow("limits.heartbeat", \.limits.heartbeat, .duration(), "time between heartbeats"),
        SettingRow("limits.send_queue", \.limits.sendQueue, .size(bytes), "bytes that may wait for a slow client"),
        SettingRow(
            "limits.messages_per_second",
            \.limits.messagesPerSecond,
            .number(count),
            "messages of a connection"
        ),
        SettingRow("limits.bytes_per_second", \.limits.bytesPerSecond, .size(bytes), "bytes of a connection"),
        SettingRow("limits.burst", \.limits.burst, .duration(), "the time whose allowance may be used at once"),
        SettingRow("limits.control_per_second", \.limits.controlPerSecond, .number(count), "control frames"),
        SettingRow(
            "limits.connections",
            \.limits.connections,
            .optional(.number(1...100_000_000)),
            unset: "from the descriptor limit",
            "connections of the gate"
        ),
        SettingRow("limits.connections_per_user", \.limits.connectionsPerUser, .number(countOrOff), "0: unlimited"),
        SettingRow("limits.per_user_policy", \.limits.perUserPolicy, .word, "what happens beyond a user's cap"),
        SettingRow("limits.handshakes_per_second", \.limits.handshakesPerSecond, .number(countOrOff), "0: off"),
        SettingRow("limits.failures_per_minute", \.limits.failuresPerMinute, .number(count), "refusals of an address"),
        SettingRow("limits.connections_per_address", \.limits.connectionsPerAddress, .number(countOrOff), "0: off"),
        SettingRow("limits.throttle_private", \.limits.throttlePrivate, .flag, "whether private addresses are limited"),
    ]

    private static let certificate: [SettingRow<TLSSettings.Certificate>] = [
        SettingRow("certificate", \.certificate, .optional(.file), unset: "none", "the chain as PEM"),
        SettingRow("key", \.key, .optional(.file), unset: "none", "its key as PEM"),
    ]

    private static let operation: [SettingRow<Settings>] = [
        SettingRow(
            "proxy.trusted",
            \.proxy.trusted,
            .list(of: .matching("an address or a network such as 10.0.0.0/8", SettingsRules.isNetwork)),
            "proxies whose word is believed"
        ),
        SettingRow("proxy.protocol", \.proxy.protocol, .word, "the header before a client's first byte"),
        SettingRow("drain.deadline", \.drain.deadline, .duration(), "the time over which closes are spread"),
        SettingRow(
            "drain.retry_after",
            \.drain.retryAfter,
            .duration(.zero...Units.longestDuration),
            "the jitter's range"
        ),
        SettingRow(
            "tls.client_ca",
            \.tls.clientCA,
            .optional(.file),
            unset: "no client certificates",
            "their authorities"
        ),
        SettingRow("tls.minimum", \.tls.minimum, .word, "the least version of TLS"),
        SettingRow(
            "audit.file",
            \.audit.file,
            .optional(.text("a path, or - for standard output")),
            unset: "none",
            "audit"
        ),
        SettingRow("audit.stream", \.audit.stream, .flag, "whether the audit also goes to Redis"),
        SettingRow("anomalies.action", \.anomalies.action, .word, "what a suspicious credential leads to"),
        SettingRow("log.level", \.log.level, .word, "the least level of what is logged"),
        SettingRow("log.format", \.log.format, .word, "the shape of a line of the log"),
    ]
}

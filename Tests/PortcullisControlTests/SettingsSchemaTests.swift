import Testing

@testable import PortcullisControl

/// What the reference says, word for word where a value stands there.
private let reference: [(key: String, value: String?)] = [
    ("listen", "127.0.0.1:8080"), ("admin", "127.0.0.1:8081"), ("path", "/ws"), ("node", nil), ("loops", nil),
    ("state_dir", nil), ("redis.url", nil), ("redis.password_file", nil), ("redis.prefix", "portcullis:"),
    ("redis.ca_file", nil), ("redis.wait_replicas", "0"), ("tokens.secret_file", nil), ("tokens.key_file", nil),
    ("tokens.jwks", nil), ("tokens.algorithm", nil), ("tokens.issuer", nil), ("tokens.audience", nil),
    ("tokens.claims.user", "sub"), ("tokens.claims.session", "sid"), ("tokens.claims.tenant", "tenant"),
    ("tokens.claims.device", "device"), ("tokens.claims.permissions", "permissions"), ("tokens.scopes", ""),
    ("tokens.leeway", "30s"),
    ("tokens.longest_life", "24h"), ("tokens.types", "JWT, at+jwt, none"), ("tokens.mode", "stateless"),
    ("tokens.shared_keys", "false"), ("tokens.sources", "header, subprotocol, ticket"), ("tokens.cookie", nil),
    ("keys.refresh", "10m"), ("keys.cooldown", "30s"), ("keys.close_on_removal", "false"), ("sessions.enabled", "true"),
    ("sessions.key", "session:{id}"), ("sessions.format", "json"), ("sessions.user_field", "user_id"),
    ("sessions.cookie", "session_id"), ("sessions.cookie_secret_file", nil), ("sessions.cookie_secret", nil),
    ("sessions.bind", ""), ("sessions.touch", "false"), ("sessions.sweep", "30s"), ("sessions.longest_life", "30d"),
    ("sessions.created_field", "created_at"), ("origins", ""), ("refusal", "auto"), ("resources.default_role", nil),
    ("resources.roles", "viewer, commenter, editor, owner"), ("resources.step_up", ""),
    ("resources.presence", "false"), ("relay", "rooms"),
    ("guarantee.lease", "5s"), ("guarantee.freeze_limit", "60s"), ("guarantee.mode", "strict"),
    ("guarantee.retention", "25h"), ("events.hmac_key_file", nil), ("limits.head", "16KiB"), ("limits.headers", "100"),
    ("limits.token", "8KiB"), ("limits.message", "1MiB"), ("limits.fragments", "1024"), ("limits.handshake", "5s"),
    ("limits.heartbeat", "25s"), ("limits.send_queue", "1MiB"), ("limits.messages_per_second", "100"),
    ("limits.bytes_per_second", "1MiB"), ("limits.burst", "10s"), ("limits.control_per_second", "20"),
    ("limits.connections", nil), ("limits.connections_per_user", "0"), ("limits.per_user_policy", "refuse"),
    ("limits.handshakes_per_second", "0"), ("limits.failures_per_minute", "60"),
    ("limits.connections_per_address", "0"),
    ("limits.throttle_private", "false"), ("proxy.trusted", ""), ("proxy.protocol", "none"), ("drain.deadline", "5s"),
    ("drain.retry_after", "10s"), ("subprotocols", ""), ("tokens.cache", "20000"), ("tls.client_ca", nil),
    ("tls.minimum", "1.2"), ("admin_keys_file", nil), ("audit.file", nil), ("audit.stream", "false"),
    ("anomalies.action", "report"), ("log.level", "info"), ("log.format", "text"),
]

@Suite struct SettingsSchemaTests {
    @Test func theKeysAreThoseOfTheReference() {
        #expect(Set(SettingsSchema.rows.map(\.name)) == Set(reference.map(\.key)))
        #expect(SettingsSchema.rows.count == reference.count)
        #expect(SettingsSchema.groups.map(\.name) == ["tokens.issuers", "tls.certificates"])
    }

    @Test(arguments: reference)
    func theDefaultIsThatOfTheReference(key: String, value: String?) throws {
        let row = try #require(SettingsSchema.rows.first { $0.name == key })
        guard let value else {
            #expect(row.show(Settings()) == .unset)
            #expect(row.unset != nil)
            return
        }
        // Read and shown again: `60s` and `1m` are the same.
        var settings = Settings()
        if !value.isEmpty {
            try row.apply(&settings, SettingsLayer.value(value, as: row.form))
        }
        #expect(row.show(Settings()) == row.show(settings))
        #expect(settings == Settings())
    }

    @Test func everyVariableIsDistinct() {
        let variables = SettingsSchema.rows.map(SettingsEnvironment.variable)
        #expect(Set(variables).count == variables.count)
        #expect(variables.contains("PORTCULLIS_REDIS_URL"))
        #expect(variables.contains("PORTCULLIS_TOKENS_CLAIMS_USER"))
    }

    @Test func everyKeyIsReadFromEveryLayer() throws {
        // One value that is not the default for every key whose form allows to make one up.
        for row in SettingsSchema.rows where !row.isSecret && row.unset == nil {
            guard case .one(let text) = row.show(Settings()), let other = another(than: text) else { continue }
            let variable = SettingsEnvironment.variable(row)
            let settings = [
                try? Settings.load(environment: [variable: other]), try? Settings.load(flags: [row.name: other]),
            ].compactMap { $0 }
            for settings in settings { #expect(row.show(settings) != row.show(Settings()), "\(row.name)") }
        }
    }

    private func another(than text: String) -> String? {
        switch text {
        case "true": "false"
        case "false": "true"
        default: Int(text).map { "\($0 + 1)" }
        }
    }

    @Test func theEffectiveConfigurationCanBeReadAgain() throws {
        let yaml = """
            node: "yes"
            log: {level: debug}
            tokens:
              jwks: "a: b # c"
              issuer: "null"
              scopes: ["read doc:1 viewer"]
              issuers: {a.b: {issuer: x, key_file: "k\\"\\\\"}}
            resources: {step_up: {"billing:*": 15m}}
            origins: ["https://*.example.com"]
            tls: {certificates: {x: {certificate: c, key: k}}}
            """
        let first = try Settings.load(yaml: yaml)
        var second = try Settings.load(yaml: first.effectiveYAML)
        #expect(second.written.isSuperset(of: first.written))
        second.written = first.written
        #expect(second == first)
        #expect(first.effectiveYAML.contains("  url: null # an embedded redis-server\n"))
        #expect(Settings().effectiveYAML.hasPrefix("listen: \"127.0.0.1:8080\"\n"))
    }
}

@Suite struct UnitTests {
    @Test(
        arguments: [
            ("250ms", 250), ("5s", 5000), ("15m", 900_000), ("24h", 86_400_000), ("30d", 2_592_000_000), ("0", 0),
            ("0s", 0),
            ("1500ms", 1500), ("3650d", 315_360_000_000),
        ] as [(String, Int64)]
    )
    func durationsAreRead(text: String, milliseconds: Int64) throws {
        let duration = try #require(Units.duration(text))
        #expect(duration.wholeMilliseconds == milliseconds)
        #expect(Units.duration(Units.text(duration)) == duration)
    }

    @Test(arguments: [
        "", "5", "s", "-5s", "+5s", "5 s", "5S", "1.5s", "5sec", "3651d", "9223372036854775807d",
        "99999999999999999999s",
        "5s ", "٥s",
    ])
    func otherDurationsAreNot(text: String) {
        #expect(Units.duration(text) == nil)
    }

    @Test(arguments: [("0", 0), ("64", 64), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)])
    func sizesAreRead(text: String, bytes: Int) {
        #expect(Units.size(text) == bytes)
        #expect(Units.text(size: bytes) == text)
    }

    @Test(arguments: [
        "", "KiB", "1KB", "1k", "-1", "1.5MiB", "9223372036854775807KiB", "99999999999999999999", "1 KiB",
    ])
    func otherSizesAreNot(text: String) {
        #expect(Units.size(text) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:8080", ListenAddress.tcp(host: "127.0.0.1", port: 8080), true),
        ("localhost:0", .tcp(host: "localhost", port: 0), true),
        ("127.9.9.9:1", .tcp(host: "127.9.9.9", port: 1), true),
        ("[::1]:65535", .tcp(host: "::1", port: 65_535), true),
        ("[::]:80", .tcp(host: "::", port: 80), false),
        ("[fe80::1%eth0]:80", .tcp(host: "fe80::1%eth0", port: 80), false),
        ("0.0.0.0:80", .tcp(host: "0.0.0.0", port: 80), false),
        ("127.0.0.1.example:80", .tcp(host: "127.0.0.1.example", port: 80), false),
        ("unix:/run/gate.sock", .unix(path: "/run/gate.sock"), true),
    ])
    func addressesAreRead(text: String, address: ListenAddress, isLocal: Bool) {
        #expect(ListenAddress(text) == address)
        #expect(address.description == text)
        #expect(address.isLocal == isLocal)
    }

    @Test(arguments: [
        "", "8080", ":8080", "host", "host:", "host:65536", "host:-1", "host:+1", "host:http", "::1:80", "[]:80",
        "[a]:80",
        "[::1]", "a b:80", "unix:relative", "unix:", "http://a:80", "host:080808",
    ])
    func otherAddressesAreNot(text: String) {
        #expect(ListenAddress(text) == nil)
    }

    @Test func aLongSocketPathIsNone() {
        #expect(ListenAddress("unix:/" + String(repeating: "a", count: 106)) != nil)
        #expect(ListenAddress("unix:/" + String(repeating: "a", count: 107)) == nil)
    }

    @Test(arguments: [("", "", 0), ("a", "", 1), ("abc", "acb", 1), ("kitten", "sitting", 3), ("leway", "leeway", 1)])
    func editsAreCounted(left: String, right: String, edits: Int) {
        #expect(NearestName.distance(left, right) == edits)
        #expect(NearestName.distance(right, left) == edits)
    }

    @Test(arguments: [
        ("redis://:pw@h", "redis://:***@h"), ("redis://u:p@w@h:1/2", "redis://u:***@h:1/2"),
        ("redis://h:6379", "redis://h:6379"), ("redis://token@h", "redis://:***@h"), ("u:p@h", "(secret)"),
        ("unix:///run/r.sock?password=x", "unix:///run/r.sock?***"),
    ])
    func passwordsAreMasked(address: String, shown: String) {
        #expect("\(Secret(address: address))" == shown)
    }
}

import Foundation
import Testing

@testable import PortcullisControl

/// The sentences about a configuration, one a line; nil where nothing is wrong.
private func complaint(
    _ yaml: String = "",
    environment: [String: String] = [:],
    flags: [String: String] = [:]
) -> String? {
    do {
        _ = try Settings.load(yaml: yaml, environment: environment, flags: flags)
        return nil
    } catch {
        return error.description
    }
}

@Suite struct SettingsLayerTests {
    @Test func theLaterLayerWins() throws {
        let yaml = """
            guarantee:
              lease: 1s
              freeze_limit: 10s
              retention: 26h
            """
        let environment = ["PORTCULLIS_GUARANTEE_LEASE": "2s", "PORTCULLIS_GUARANTEE_FREEZE_LIMIT": "20s"]
        let settings = try Settings.load(yaml: yaml, environment: environment, flags: ["guarantee.lease": "3s"])
        #expect(settings.guarantee.lease == .seconds(3))
        #expect(settings.guarantee.freezeLimit == .seconds(20))
        #expect(settings.guarantee.retention == .seconds(26 * 3600))
        #expect(settings.written == ["guarantee.lease", "guarantee.freeze_limit", "guarantee.retention"])
    }

    @Test func anEmptyConfigurationHasTheDefaults() throws {
        for yaml in ["", "---\n", "# nothing\n", "tokens:\n", "tokens:\n  leeway:\n"] {
            #expect(try Settings.load(yaml: yaml) == Settings())
        }
    }

    @Test func listsAreReadInEveryLayer() throws {
        let expected: [TokenSettings.Source] = [.header, .cookie]
        let cookie = ["tokens.cookie": "jwt"]
        let yaml = "tokens:\n  sources: [header, cookie]\n"
        #expect(try Settings.load(yaml: yaml, flags: cookie).tokens.sources == expected)
        #expect(
            try Settings.load(yaml: "tokens: {sources: 'header, cookie'}", flags: cookie).tokens.sources == expected
        )
        let environment = ["PORTCULLIS_TOKENS_SOURCES": "header, cookie"]
        #expect(try Settings.load(environment: environment, flags: cookie).tokens.sources == expected)
        let flags = cookie.merging(["tokens.sources": "header,cookie"]) { $1 }
        #expect(try Settings.load(flags: flags).tokens.sources == expected)
        #expect(try Settings.load(yaml: "tokens: {sources: none}").tokens.sources.isEmpty)
        #expect(try Settings.load(yaml: "tokens: {types: [none]}").tokens.types == [.none])
    }

    @Test func wordsThatYAMLTakesForBooleansAreWords() throws {
        #expect(try Settings.load(yaml: "relay: off").relay == .off)
        #expect(try Settings.load(yaml: "sessions: {touch: yes}").sessions.touch)
        #expect(try Settings.load(yaml: "resources: {default_role: none}").resources.defaultRole == nil)
    }

    @Test func mapsByANameAreReadInEveryLayer() throws {
        let yaml = """
            tokens:
              claims: {user: uid}
              issuers:
                acme: {issuer: "https://a.example", jwks: a.json}
                other.example: {issuer: "https://b.example", jwks: b.json, claims: {session: jti}}
            """
        let environment = [
            "PORTCULLIS_TOKENS_ISSUERS_ACME_ALGORITHM": "ES256",
            "PORTCULLIS_TOKENS_ISSUERS_OTHER_EXAMPLE_AUDIENCE": "gate",
            "PORTCULLIS_TOKENS_ISSUERS_NEW_ISSUER": "https://c.example",
            "PORTCULLIS_TOKENS_ISSUERS_NEW_SECRET_FILE": "/secret",
        ]
        let flags = ["tls.certificates.default.certificate": "c.pem", "tls.certificates.default.key": "k.pem"]
        let settings = try Settings.load(yaml: yaml, environment: environment, flags: flags)
        let issuers = settings.tokens.issuers
        #expect(issuers.keys.sorted() == ["acme", "new", "other.example"])
        #expect(issuers["acme"]?.algorithm == .es256)
        #expect(issuers["acme"]?.claims.user == "uid")
        #expect(issuers["other.example"]?.audience == "gate")
        #expect(issuers["other.example"]?.claims.session == "jti")
        #expect(issuers["other.example"]?.claims.user == "uid")
        #expect(issuers["new"]?.secretFile == "/secret")
        #expect(settings.tls.certificates["default"] == .init(certificate: "c.pem", key: "k.pem"))
    }

    @Test func resourcePatternsHaveDurations() throws {
        let expected = [
            ResourceSettings.StepUp(pattern: "billing:*", within: .seconds(900)),
            ResourceSettings.StepUp(pattern: "a=b", within: .seconds(60)),
        ]
        let yaml = "resources:\n  step_up:\n    'billing:*': 15m\n    a=b: 1m\n"
        #expect(try Settings.load(yaml: yaml).resources.stepUp == expected)
        let environment = ["PORTCULLIS_RESOURCES_STEP_UP": "billing:*=15m,a=b=1m"]
        #expect(try Settings.load(environment: environment).resources.stepUp == expected)
    }

    @Test func otherVariablesAreNoSettings() throws {
        let environment = [
            "PATH": "/bin", "PORTCULLIS_TOKEN": "t", "PORTCULLIS_VECTORS": "v", "PORTCULLIS_TEST_SEED": "1",
            "PORTCULLIS_NODE": "",
        ]
        #expect(try Settings.load(environment: environment) == Settings())
    }
}

@Suite struct SettingsProblemTests {
    @Test(arguments: [
        (
            "tokens: {leway: 3s}",
            "tokens.leway: is not a setting: did you mean tokens.leeway? (portcullis.yaml, line 1)"
        ),
        ("\nlimit:\n  head: 1KiB", "limit: is not a setting: did you mean limits? (portcullis.yaml, line 2)"),
        ("jwks: a.json", "jwks: is not a setting: did you mean tokens.jwks? (portcullis.yaml, line 1)"),
        ("zzzzzzzzzzzz: 1", "zzzzzzzzzzzz: is not a setting: take it out (portcullis.yaml, line 1)"),
        (
            "tokens: {issuers: {a: {jkws: f}}}",
            "tokens.issuers.a.jkws: is not a setting: did you mean tokens.issuers.a.jwks? (portcullis.yaml, line 1)"
        ),
        (
            "redis.url: redis://a",
            "redis.url: write the groups one below the other, each indented, and not with dots (portcullis.yaml, line 1)"
        ),
        (
            "limits: 5",
            "limits: the single value \"5\" stands where a group of settings belongs (portcullis.yaml, line 1)"
        ),
        (
            "listen: [a, b]",
            "listen: a list stands where host:port, [v6]:port or unix:/path belongs (portcullis.yaml, line 1)"
        ),
        (
            "guarantee:\n  lease: {a: 1}",
            "guarantee.lease: a map stands where a duration from 1ms to 3650d belongs (portcullis.yaml, line 2)"
        ),
        (
            "guarantee:\n  lease: 5",
            "guarantee.lease: \"5\" is not a duration: write a duration from 1ms to 3650d (portcullis.yaml, line 2)"
        ),
        (
            "tokens: {leeway: 61s}",
            "tokens.leeway: \"61s\" is out of bounds: write a duration from 0s to 60s (portcullis.yaml, line 1)"
        ),
        (
            "limits: {headers: many}",
            "limits.headers: \"many\" is not a whole number: write a whole number from 1 to 10000 (portcullis.yaml, line 1)"
        ),
        (
            "limits: {message: 0}",
            "limits.message: \"0\" is out of bounds: write a size from 1 to 1GiB (portcullis.yaml, line 1)"
        ),
        (
            "relay: loud",
            "relay: \"loud\" is not known: write one of rooms, echo, off (portcullis.yaml, line 1)"
        ),
        (
            "tokens: {sources: [header, header]}",
            "tokens.sources: \"header\" stands twice: write it once (portcullis.yaml, line 1)"
        ),
        (
            "sessions: {bind: [ip, moon]}",
            "sessions.bind: \"moon\" is not known: write one of ip, user_agent, device (portcullis.yaml, line 1)"
        ),
        (
            "sessions: {touch: maybe}",
            "sessions.touch: \"maybe\" is neither: write true or false (portcullis.yaml, line 1)"
        ),
        (
            "listen: ':8080'",
            "listen: \":8080\" is no address: write host:port, [v6]:port or unix:/path (portcullis.yaml, line 1)"
        ),
        (
            "sessions: {key: 'session:'}",
            "sessions.key: \"session:\" does not fit: write a template with {id} or {sha256} in it (portcullis.yaml, line 1)"
        ),
        ("- a", "portcullis.yaml: the file holds a list where a map of settings belongs (portcullis.yaml, line 1)"),
        ("relay: off\nrelay: off", "portcullis.yaml: \"relay\" stands twice: keep one (line 1)"),
    ])
    func aBadFileIsNamed(yaml: String, sentence: String) {
        #expect(complaint(yaml) == sentence)
    }

    @Test func badYAMLIsNamed() {
        #expect(complaint("a: [")?.hasPrefix("portcullis.yaml: it is not YAML: ") == true)
        #expect(complaint("\tlisten: x")?.hasPrefix("portcullis.yaml: it is not YAML: ") == true)
    }

    @Test(arguments: [
        ("PORTCULLIS_LISTN", "PORTCULLIS_LISTN: is not a setting: did you mean PORTCULLIS_LISTEN? (environment)"),
        (
            "PORTCULLIS_REDIS_URI",
            "PORTCULLIS_REDIS_URI: is not a setting: did you mean PORTCULLIS_REDIS_URL? (environment)"
        ),
    ])
    func anUnknownVariableIsNamed(variable: String, sentence: String) {
        #expect(complaint(environment: [variable: "x"]) == sentence)
    }

    @Test func aBadValueNamesItsLayer() {
        let yaml = complaint("relay: a", environment: ["PORTCULLIS_RELAY": "b"])
        #expect(yaml == "relay: \"b\" is not known: write one of rooms, echo, off (PORTCULLIS_RELAY)")
        let flag = complaint("relay: a", environment: ["PORTCULLIS_RELAY": "b"], flags: ["relay": "c"])
        #expect(flag == "relay: \"c\" is not known: write one of rooms, echo, off (command line)")
    }

    @Test func severalProblemsAreSeveralLines() {
        let text = complaint("relay: a\nrefusal: b\nlisten: c\nx: d")
        #expect(text?.split(separator: "\n").count == 4)
    }

    @Test func aSecretIsNeitherAFlagNorShown() throws {
        let flag = complaint(flags: ["sessions.cookie_secret": "hunter2"])
        #expect(flag?.contains("set it in the file or the environment") == true)
        #expect(flag?.contains("hunter2") == false)
        let url = complaint(environment: ["PORTCULLIS_REDIS_URL": "http://u:hunter2@h"])
        #expect(url?.contains("hunter2") == false)

        let environment = [
            "PORTCULLIS_SESSIONS_COOKIE_SECRET": "hunter2", "PORTCULLIS_REDIS_URL": "redis://bob:hunter2@h:6379/1",
        ]
        let settings = try Settings.load(environment: environment)
        #expect(settings.redis.url?.revealed == "redis://bob:hunter2@h:6379/1")
        var dumped = ""
        dump(settings, to: &dumped)
        for text in ["\(settings)", dumped, String(reflecting: settings), settings.effectiveYAML] {
            #expect(!text.contains("hunter2"))
        }
        #expect(settings.effectiveYAML.contains("redis://bob:***@h:6379/1"))
    }

    @Test func anEmptyCookieSecretIsNotNone() {
        let variable = "PORTCULLIS_SESSIONS_COOKIE_SECRET"
        let wanted = "\(variable): it is empty: give it the secret, or unset it (environment)"
        #expect(complaint(environment: [variable: "", "PORTCULLIS_NODE": ""]) == wanted)
    }

    @Test func aFileThatIsNotThereIsNamed() {
        let error = #expect(throws: SettingsError.self) { try Settings.load(file: "/nowhere/portcullis.yaml") }
        let sentence = "/nowhere/portcullis.yaml: the file cannot be read: create it, or give another with --config"
        #expect(error?.description == sentence)
    }

    @Test(arguments: ["", "\n", "# listen: 127.0.0.1:8080\n"])
    func aFileWithoutSettingsSaysNothing(text: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/portcullis.yaml"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        #expect(try Settings.load(file: path) == Settings.load())
    }
}

@Suite struct SettingsRuleTests {
    @Test(arguments: [
        (
            "tokens: {sources: none}\nsessions: {enabled: false}",
            "tokens.sources: nobody could authenticate: name a source, or set sessions.enabled to true"
        ),
        (
            "guarantee: {retention: 24h}",
            "guarantee.retention: tokens may live 24h, and ten minutes more are needed: set it to 1450m or more"
        ),
        (
            "admin: 0.0.0.0:8081",
            """
            admin: 0.0.0.0:8081 can be reached from other machines, so it needs TLS and admin keys: set tls.certificates and \
            admin_keys_file, or listen on 127.0.0.1
            """
        ),
        (
            "listen: 0.0.0.0:8080\nsessions: {cookie: sid}",
            """
            origins: it is not set, but cookies are accepted on 0.0.0.0:8080: list the sites that may connect, or write none \
            for the gate's own origin alone
            """
        ),
        (
            "listen: '[::]:8080'\norigins: '*'",
            "origins: any site could use the cookies of [::]:8080's users: list the sites that may"
        ),
        (
            "tokens: {sources: [cookie]}",
            "tokens.cookie: tokens.sources lists cookie: name the cookie that holds the token"
        ),
        ("tokens: {cookie: jwt}", "tokens.cookie: it would never be read: add cookie to tokens.sources"),
        ("tokens: {secret_file: a, jwks: b}", "tokens: secret_file and jwks are set: keep one of them"),
        (
            "tokens: {issuers: {a: {issuer: x}}}",
            "tokens.issuers.a: it has no key: set secret_file, key_file or jwks"
        ),
        (
            "tokens: {issuers: {a: {issuer: x, jwks: f}, b: {issuer: x, jwks: g}}}",
            "tokens.issuers.b.issuer: another issuer has it too: keep one of them"
        ),
        (
            "tokens: {jwks: f, issuers: {a: {issuer: x, jwks: f}}}",
            "tokens.issuer: with several issuers each needs its own: set it"
        ),
        (
            "resources: {roles: [editor, viewer]}",
            "resources.roles: write at most 64 roles, the least first, with viewer before editor among them"
        ),
        (
            "resources: {default_role: king}",
            "resources.default_role: \"king\" is not a role: write one of viewer, commenter, editor, owner"
        ),
        ("tls: {certificates: {a: {key: k}}}", "tls.certificates.a.certificate: the key needs it: set it"),
        (
            "guarantee: {lease: 10s, freeze_limit: 5s}",
            "guarantee.freeze_limit: it is shorter than guarantee.lease: set it to 10s or more"
        ),
        ("listen: 127.0.0.1:8081", "admin: 127.0.0.1:8081 is the address of listen too: choose another"),
    ])
    func aBrokenRuleIsOneSentence(yaml: String, sentence: String) {
        #expect(complaint(yaml) == sentence)
    }

    @Test(arguments: [
        "listen: 0.0.0.0:8080",
        "listen: 0.0.0.0:8080\nsessions: {cookie: sid}\norigins: none",
        "listen: 0.0.0.0:8080\nsessions: {enabled: false}\norigins: '*'",
        "listen: 127.0.0.1:8080\norigins: '*'",
        "admin: unix:/run/portcullis.sock",
        "admin: 0.0.0.0:8081\nadmin_keys_file: k\ntls: {certificates: {a: {certificate: c, key: k}}}",
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0",
        "tokens: {leeway: 0}",
        "origins: [https://a.example, 'https://*.example.com', http://localhost:3000, 'https://[::1]:1']",
        "proxy: {trusted: [10.0.0.0/8, '::1', '2001:db8::/32'], protocol: v2}",
    ])
    func whatIsAllowedIsAccepted(yaml: String) {
        #expect(complaint(yaml) == nil)
    }

    @Test(arguments: [
        "origins: [ftp://a]", "origins: [https://]", "origins: ['https://a/b']", "origins: ['https://*']",
        "proxy: {trusted: [10.0.0.0/33]}", "proxy: {trusted: [10.0.0]}", "proxy: {trusted: ['::/129']}",
        "path: ws", "path: /a?b", "node: a b", "tokens: {jwks: ftp://a}", "redis: {url: localhost}",
        "subprotocols: ['a b']", "guarantee: {lease: 0}", "guarantee: {lease: 99999999999999999d}",
        "limits: {message: 99999999999GiB}", "limits: {connections: 0}", "tokens: {issuers: {'a b': {jwks: f}}}",
    ])
    func badTextsAreRefused(yaml: String) {
        #expect(complaint(yaml) != nil)
    }
}

import PortcullisCore

/// What a single key cannot say: rules over several, and the shapes of texts.
enum SettingsRules {
    /// All rules that the settings break, one sentence each.
    static func problems(in settings: Settings) -> [SettingsProblem] {
        var found: [SettingsProblem] = []
        func refuse(_ key: String, _ text: String) {
            found.append(SettingsProblem(key: key, text: text, place: nil))
        }
        authentication(settings, refuse)
        issuers(settings, refuse)
        listeners(settings, refuse)
        times(settings, refuse)
        roles(settings, refuse)
        scopes(settings, refuse)
        return found
    }

    private typealias Refuse = (_ key: String, _ text: String) -> Void

    private static func authentication(_ settings: Settings, _ refuse: Refuse) {
        let tokens = settings.tokens
        if tokens.sources.isEmpty && !settings.sessions.enabled {
            refuse("tokens.sources", "nobody could authenticate: name a source, or set sessions.enabled to true")
        }
        if tokens.types.isEmpty {
            refuse("tokens.types", "no token would be accepted: name at least one type")
        }
        if tokens.sources.contains(.cookie) && tokens.cookie == nil {
            refuse("tokens.cookie", "tokens.sources lists cookie: name the cookie that holds the token")
        }
        if tokens.cookie != nil && !tokens.sources.contains(.cookie) {
            refuse("tokens.cookie", "it would never be read: add cookie to tokens.sources")
        }
        if settings.sessions.enabled, tokens.cookie == settings.sessions.cookie {
            refuse("tokens.cookie", "it is the session's cookie too: give one of them another name")
        }
        if settings.sessions.cookieSecret != nil && settings.sessions.cookieSecretFile != nil {
            refuse("sessions.cookie_secret", "sessions.cookie_secret_file is set too: keep one of them")
        }
    }

    private static func issuers(_ settings: Settings, _ refuse: Refuse) {
        let tokens = settings.tokens
        keyOptions(of: tokens.own, "tokens", refuse)
        let named = tokens.issuers.sorted { $0.key < $1.key }
        var seen: Set<String> = []
        if tokens.own.hasKey, !named.isEmpty {
            if let issuer = tokens.own.issuer {
                seen.insert(issuer)
            } else {
                refuse("tokens.issuer", "with several issuers each needs its own: set it")
            }
        }
        for (name, issuer) in named {
            let key = "tokens.issuers.\(name)"
            keyOptions(of: issuer, key, refuse)
            if !issuer.hasKey { refuse(key, "it has no key: set secret_file, key_file or jwks") }
            guard named.count > 1 || tokens.own.hasKey else { continue }
            guard let text = issuer.issuer else {
                refuse("\(key).issuer", "with several issuers each needs its own: set it")
                continue
            }
            if !seen.insert(text).inserted { refuse("\(key).issuer", "another issuer has it too: keep one of them") }
        }
    }

    private static func keyOptions(of issuer: IssuerSettings, _ key: String, _ refuse: Refuse) {
        let options = [
            ("secret_file", issuer.secretFile), ("key_file", issuer.keyFile), ("jwks", issuer.jwks?.description),
        ]
        let written = options.filter { $0.1 != nil }.map(\.0)
        if written.count > 1 { refuse(key, "\(written.joined(separator: " and ")) are set: keep one of them") }
    }

    private static func listeners(_ settings: Settings, _ refuse: Refuse) {
        if settings.listen == settings.admin, settings.listen.isFixed {
            refuse("admin", "\(settings.admin) is the address of listen too: choose another")
        }
        for (name, certificate) in settings.tls.certificates.sorted(by: { $0.key < $1.key }) {
            if certificate.certificate == nil {
                refuse("tls.certificates.\(name).certificate", "the key needs it: set it")
            }
            if certificate.key == nil { refuse("tls.certificates.\(name).key", "the certificate needs it: set it") }
        }
        if settings.tls.clientCA != nil && settings.tls.certificates.isEmpty {
            refuse("tls.client_ca", "without a certificate there is no TLS: set tls.certificates too")
        }
        if !settings.admin.isLocal && (settings.tls.certificates.isEmpty || settings.adminKeysFile == nil) {
            let what = "\(settings.admin) can be reached from other machines, so it needs TLS and admin keys"
            refuse("admin", "\(what): set tls.certificates and admin_keys_file, or listen on 127.0.0.1")
        }
        guard !settings.listen.isLocal, acceptsCookies(settings) else { return }
        if settings.origins.contains("*") {
            refuse("origins", "any site could use the cookies of \(settings.listen)'s users: list the sites that may")
        } else if asksForCookies(settings) && !settings.written.contains("origins") {
            let what = "it is not set, but cookies are accepted on \(settings.listen)"
            refuse("origins", "\(what): list the sites that may connect, or write none for the gate's own origin alone")
        }
    }

    private static func acceptsCookies(_ settings: Settings) -> Bool {
        settings.sessions.enabled || settings.tokens.sources.contains(.cookie)
    }

    /// Whether somebody asked for cookies. Sessions are on from the start, under the rule of the same origin; who sets them up
    /// has a site in mind, and has to name it or to say that there is none.
    private static func asksForCookies(_ settings: Settings) -> Bool {
        settings.tokens.sources.contains(.cookie)
            || (settings.sessions.enabled && settings.written.contains { $0.hasPrefix("sessions.") })
    }

    private static func times(_ settings: Settings, _ refuse: Refuse) {
        let least = settings.tokens.longestLife + .seconds(600)
        if settings.guarantee.retention < least {
            let life = "tokens may live \(Units.text(settings.tokens.longestLife))"
            refuse(
                "guarantee.retention",
                "\(life), and ten minutes more are needed: set it to \(Units.text(least)) or more"
            )
        }
        if settings.guarantee.freezeLimit < settings.guarantee.lease {
            let lease = Units.text(settings.guarantee.lease)
            refuse("guarantee.freeze_limit", "it is shorter than guarantee.lease: set it to \(lease) or more")
        }
        if settings.limits.token > settings.limits.head, settings.tokens.sources.contains(.header) {
            let size = Units.text(size: settings.limits.head)
            refuse("limits.token", "such a token does not fit into a head of \(size): raise limits.head or lower it")
        }
    }

    private static func roles(_ settings: Settings, _ refuse: Refuse) {
        let roles = settings.resources.roles
        guard RoleOrder(names: roles.map { Identifier($0) }) != nil else {
            return refuse(
                "resources.roles",
                "write at most 64 roles, the least first, with viewer before editor among them"
            )
        }
        if let role = settings.resources.defaultRole, !roles.contains(role) {
            refuse(
                "resources.default_role",
                "\(quoted(role)) is not a role: write one of \(roles.joined(separator: ", "))"
            )
        }
    }
}

extension SettingsRules {
    private static func scopes(_ settings: Settings, _ refuse: Refuse) {
        let named = settings.tokens.issuers.sorted { $0.key < $1.key }.map {
            ("tokens.issuers.\($0.key).scopes", $0.value)
        }
        for (key, issuer) in [("tokens.scopes", settings.tokens.own)] + named where settings.written.contains(key) {
            for scope in issuer.scopes where !settings.resources.roles.contains(scope.role) {
                let roles = settings.resources.roles.joined(separator: ", ")
                refuse(key, "\(quoted(scope.role)) in \(quoted(scope.text)) is not a role: write one of \(roles)")
            }
        }
    }
}

extension ListenAddress {
    /// Whether the address names one place: not a port that the system chooses.
    fileprivate var isFixed: Bool {
        switch self {
        case .unix: true
        case .tcp(_, let port): port != 0
        }
    }
}

import PortcullisCore
import PortcullisCrypto
public import PortcullisTokens

/// Loads the keys that the settings name.
public enum TokenKeys {
    /// What verifies tokens.
    ///
    /// - Parameters:
    ///   - state: where the gate's own secret stands, or is made, where no key is configured.
    ///   - made: told the path of the secret where it is used for want of a configured key.
    public static func policy(
        _ settings: Settings,
        state: StateDirectory,
        made: (String) -> Void = { _ in }
    ) throws(StartupError) -> TokenPolicy {
        try load(settings, state: state, made: made).policy
    }

    /// What verifies tokens, and the key sets that are to be fetched for it: until then their issuers have no key.
    public static func load(
        _ settings: Settings,
        state: StateDirectory,
        made: (String) -> Void = { _ in }
    ) throws(StartupError) -> LoadedTokens {
        let tokens = settings.tokens
        do throws(KeyError) {
            let roles = RoleOrder(names: settings.resources.roles.map { Identifier($0) }) ?? .standard
            var issuers: [TokenIssuer] = []
            var fetched: [FetchedKeySet] = []
            if tokens.own.hasKey || tokens.issuers.isEmpty {
                let keys = tokens.own.hasKey ? try load(tokens.own, &fetched) : (try ownKeys(state, made), nil)
                issuers.append(issuer(tokens.own, keys, roles))
            }
            for (_, other) in tokens.issuers.sorted(by: { $0.key < $1.key }) {
                issuers.append(issuer(other, try load(other, &fetched), roles))
            }
            let policy = try TokenPolicy(
                issuers: issuers,
                leeway: tokens.leeway.inMilliseconds,
                longestLife: tokens.longestLife.inMilliseconds,
                types: TokenTypes(tokens.types.map(\.rawValue)),
                maximumLength: settings.limits.token,
                roles: roles,
                remembers: tokens.cache
            )
            return LoadedTokens(policy: policy, fetched: fetched)
        } catch {
            throw StartupError(error.description)
        }
    }

    /// Fetches, once, the key sets that the settings name by URL: what a command needs that judges tokens and goes.
    ///
    /// - Throws: ``KeysUnavailable`` where one cannot be fetched.
    public static func fetch(_ loaded: LoadedTokens) async throws -> TokenPolicy {
        var policy = loaded.policy
        for set in loaded.fetched {
            do {
                let bytes = try await KeyFetcher().fetch(set.url)
                let keys = try KeySet.fetchedJWKS(bytes, algorithm: set.source.algorithm, source: "It")
                policy = policy.replacing(keysOf: set.source, with: keys)
            } catch {
                throw KeysUnavailable("The key set at \(set.url) cannot be fetched: \(error).")
            }
        }
        return policy
    }

    private typealias Keys = (set: KeySet, source: KeySource?)

    private static func issuer(_ settings: IssuerSettings, _ keys: Keys, _ roles: RoleOrder) -> TokenIssuer {
        TokenIssuer(
            issuer: settings.issuer.map { Identifier($0) },
            audiences: settings.audience.map { [Identifier($0)] } ?? [],
            keys: keys.set,
            claims: settings.claimNames,
            scopes: settings.grants(roles),
            source: keys.source
        )
    }

    private static func load(_ issuer: IssuerSettings, _ fetched: inout [FetchedKeySet]) throws(KeyError) -> Keys {
        let algorithm = issuer.algorithm.flatMap { Algorithm(rawValue: $0.rawValue) }
        if let file = issuer.secretFile { return (try KeySet.secretFile(file, algorithm: algorithm), nil) }
        if let file = issuer.keyFile { return (try KeySet.keyFile(file, algorithm: algorithm), nil) }
        switch issuer.jwks {
        case .file(let file): return (try KeySet.jwksFile(file, algorithm: algorithm), nil)
        case .url(let url):
            // Issuers may share a set, as the tenants of one provider do: it is fetched once for all.
            if let shared = fetched.first(where: { $0.url == url && $0.source.algorithm == algorithm }) {
                return (.empty, shared.source)
            }
            let source = KeySource(number: fetched.count, algorithm: algorithm)
            fetched.append(FetchedKeySet(source: source, url: url))
            return (.empty, source)
        case nil: break
        }
        throw KeyError("A token issuer has no key: set secret_file, key_file or jwks.")
    }

    private static func ownKeys(_ state: StateDirectory, _ made: (String) -> Void) throws(KeyError) -> KeySet {
        do throws(StartupError) {
            try state.prepare()
            let random = (try? SecureRandom.bytes(32)) ?? []
            _ = try state.secret { random }
        } catch {
            throw KeyError(error.description)
        }
        made(state.secret)
        return try KeySet.secretFile(state.secret)
    }
}

extension IssuerSettings {
    /// What each scope allows; the settings' own rules have checked the roles.
    func grants(_ roles: RoleOrder) -> [Identifier: [ScopeGrant]] {
        var grants: [Identifier: [ScopeGrant]] = [:]
        for scope in scopes {
            guard let role = roles.role(named: Identifier(scope.role)) else { continue }
            let grant = ScopeGrant(resource: Identifier(scope.resource), role: role)
            grants[Identifier(scope.scope), default: []].append(grant)
        }
        return grants
    }

    /// The names of its claims, as the verifier takes them.
    var claimNames: ClaimNames {
        ClaimNames(
            user: Identifier(claims.user),
            session: Identifier(claims.session),
            tenant: Identifier(claims.tenant),
            device: Identifier(claims.device),
            permissions: Identifier(claims.permissions)
        )
    }
}

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
        let tokens = settings.tokens
        do throws(KeyError) {
            let roles = RoleOrder(names: settings.resources.roles.map { Identifier($0) }) ?? .standard
            var issuers: [TokenIssuer] = []
            if tokens.own.hasKey || tokens.issuers.isEmpty {
                let keys = tokens.own.hasKey ? try load(tokens.own) : try ownKeys(state, made)
                issuers.append(issuer(tokens.own, keys, roles))
            }
            for (_, other) in tokens.issuers.sorted(by: { $0.key < $1.key }) {
                issuers.append(issuer(other, try load(other), roles))
            }
            return try TokenPolicy(
                issuers: issuers,
                leeway: tokens.leeway.inMilliseconds,
                longestLife: tokens.longestLife.inMilliseconds,
                types: TokenTypes(tokens.types.map(\.rawValue)),
                maximumLength: settings.limits.token,
                roles: roles
            )
        } catch {
            throw StartupError(error.description)
        }
    }

    private static func issuer(_ settings: IssuerSettings, _ keys: KeySet, _ roles: RoleOrder) -> TokenIssuer {
        TokenIssuer(
            issuer: settings.issuer.map { Identifier($0) },
            audiences: settings.audience.map { [Identifier($0)] } ?? [],
            keys: keys,
            claims: settings.claimNames,
            scopes: settings.grants(roles)
        )
    }

    private static func load(_ issuer: IssuerSettings) throws(KeyError) -> KeySet {
        let algorithm = issuer.algorithm.flatMap { Algorithm(rawValue: $0.rawValue) }
        if let file = issuer.secretFile { return try KeySet.secretFile(file, algorithm: algorithm) }
        if let file = issuer.keyFile { return try KeySet.keyFile(file, algorithm: algorithm) }
        if let file = issuer.jwks {
            guard !file.contains("://") else {
                throw KeyError("tokens.jwks: this version reads a key set from a file only: save it and name the file.")
            }
            return try KeySet.jwksFile(file, algorithm: algorithm)
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

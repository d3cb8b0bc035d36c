public import PortcullisCore

/// What is asked of a token.
public struct TokenPolicy: Sendable {
    /// Whose tokens are accepted. With one, its tokens need not name it; with more, the `iss` of a token chooses among them.
    public let issuers: [TokenIssuer]
    /// For `nbf`, and for an `iat` in the future: 0 to 60 s. `exp` has none.
    public let leeway: Milliseconds
    /// From `iat` to `exp`, or from now where a token has no `iat`.
    public let longestLife: Milliseconds
    public let types: TokenTypes
    /// In bytes.
    public let maximumLength: Int
    /// What the names of roles in a token mean.
    public let roles: RoleOrder
    /// Whether identities carry the SHA-256 of their token, which costs as much again as verifying an HMAC.
    public let hashesTokens: Bool
    /// How many verified tokens are remembered (``VerifiedTokens``); 0: none.
    public let remembers: Int

    /// - Parameter leeway: what is beyond 0 to 60 s is cut.
    /// - Throws: where of several issuers one has no `iss`, or two have the same.
    public init(
        issuers: [TokenIssuer],
        leeway: Milliseconds = .seconds(30),
        longestLife: Milliseconds = .seconds(86_400),
        types: TokenTypes = .standard,
        maximumLength: Int = 8192,
        roles: RoleOrder = .standard,
        hashesTokens: Bool = true,
        remembers: Int = 20_000
    ) throws(KeyError) {
        if issuers.count > 1 {
            var names = Set<Identifier>()
            for issuer in issuers {
                guard let name = issuer.issuer else {
                    throw KeyError(
                        "One of several token issuers has no `issuer`. Give it the value of its tokens' `iss`."
                    )
                }
                guard names.insert(name).inserted else {
                    throw KeyError("Two token issuers have the issuer \"\(name)\". Put their keys into one.")
                }
            }
        }
        self.issuers = issuers
        self.leeway = min(max(leeway, .seconds(0)), .seconds(60))
        self.longestLife = longestLife
        self.types = types
        self.maximumLength = min(max(maximumLength, 1), 1 << 20)
        self.roles = roles
        self.hashesTokens = hashesTokens
        self.remembers = max(0, remembers)
    }

    private init(_ policy: TokenPolicy, issuers: [TokenIssuer]) {
        self.issuers = issuers
        leeway = policy.leeway
        longestLife = policy.longestLife
        types = policy.types
        maximumLength = policy.maximumLength
        roles = policy.roles
        hashesTokens = policy.hashesTokens
        remembers = policy.remembers
    }

    /// The same policy with other keys for the issuers whose keys come from one source.
    public func replacing(keysOf source: KeySource, with keys: KeySet) -> TokenPolicy {
        TokenPolicy(
            self,
            issuers: issuers.map { issuer in
                var issuer = issuer
                if issuer.source == source { issuer.keys = keys }
                return issuer
            }
        )
    }
}

/// Whose tokens are accepted, and how they say what they say.
public struct TokenIssuer: Sendable {
    /// The value of `iss`; nil where it is not checked.
    public var issuer: Identifier?
    /// One of them must stand in `aud`; empty where it is not checked.
    public var audiences: [Identifier]
    public var keys: KeySet
    public var claims: ClaimNames
    /// What an OAuth scope (RFC 6749, section 3.3) allows; scopes that do not stand here allow nothing.
    public var scopes: [Identifier: [ScopeGrant]]
    /// Where the keys are fetched from; nil where they stand in a file.
    public var source: KeySource?

    public init(
        issuer: Identifier? = nil,
        audiences: [Identifier] = [],
        keys: KeySet,
        claims: ClaimNames = ClaimNames(),
        scopes: [Identifier: [ScopeGrant]] = [:],
        source: KeySource? = nil
    ) {
        self.issuer = issuer
        self.audiences = audiences
        self.keys = keys
        self.claims = claims
        self.scopes = scopes
        self.source = source
    }
}

/// What a scope allows: a role on a resource.
public struct ScopeGrant: Hashable, Sendable {
    public let resource: Identifier
    public let role: Role

    public init(resource: Identifier, role: Role) {
        self.resource = resource
        self.role = role
    }
}

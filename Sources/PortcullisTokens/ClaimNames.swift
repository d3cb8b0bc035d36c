public import PortcullisCore

/// Which claims say who somebody is (`tokens.claims`). The others have their registered names (RFC 7519, section 4.1).
public struct ClaimNames: Hashable, Sendable {
    public var user: Identifier
    public var session: Identifier
    public var tenant: Identifier
    public var device: Identifier
    public var permissions: Identifier

    public init(
        user: Identifier = "sub",
        session: Identifier = "sid",
        tenant: Identifier = "tenant",
        device: Identifier = "device",
        permissions: Identifier = "permissions"
    ) {
        self.user = user
        self.session = session
        self.tenant = tenant
        self.device = device
        self.permissions = permissions
    }
}

/// The claims that are read.
enum Claim: Int, CaseIterable {
    case expires
    case issuedAt
    case notBefore
    case audience
    case issuer
    case user
    case session
    case token
    case tenant
    case device
    case version
    case longVersion
    case authenticated
    case permissions
    case scope

    func name(_ names: ClaimNames) -> Identifier {
        switch self {
        case .expires: "exp"
        case .issuedAt: "iat"
        case .notBefore: "nbf"
        case .audience: "aud"
        case .issuer: "iss"
        case .user: names.user
        case .session: names.session
        case .token: "jti"
        case .tenant: names.tenant
        case .device: names.device
        case .version: "ver"
        case .longVersion: "version"
        case .authenticated: "auth_time"
        case .permissions: names.permissions
        case .scope: "scope"
        }
    }
}

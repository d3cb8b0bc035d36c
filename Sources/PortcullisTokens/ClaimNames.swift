public import PortcullisCore
import PortcullisWire

/// Which claims say who somebody is (`tokens.claims`). The others have their registered names (RFC 7519, section 4.1).
///
/// A name with dots is a path into objects, as in `realm_access.user`, where no claim has just that name: those that are URLs have dots
/// too.
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

/// The names of the claims as they are looked for: one text behind the other, so that a look-up follows no reference.
struct ClaimTable {
    /// A name, with what tells it from nearly every other at a glance.
    private struct Name {
        let length: Int
        let first: UInt8
        /// Where it begins in `text`.
        let start: Int
    }

    private var text: [UInt8] = []
    /// The name of each claim, by its raw value.
    private var names: [Name] = []
    /// The claims whose names may be paths, and the parts of these.
    let paths: [(claim: Claim, parts: [Identifier])]

    init(_ names: ClaimNames) {
        var paths: [(claim: Claim, parts: [Identifier])] = []
        for claim in Claim.allCases {
            let name = claim.name(names)
            self.names.append(Name(length: name.bytes.count, first: name.bytes.first ?? 0, start: text.count))
            text += name.bytes
            let parts = name.bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            if parts.count > 1 { paths.append((claim, parts.map { Identifier(bytes: Array($0)) })) }
        }
        self.paths = paths
    }

    /// Notes the place of a value for every claim of that name: one may serve two, such as a session that is the token itself.
    func note(_ place: Int32, of name: Span<UInt8>, in places: inout [15 of Int32]) {
        guard name.count > 0 else { return }
        let (text, names, first) = (text.span, names.span, name[0])
        for claim in names.indices where names[claim].length == name.count && names[claim].first == first {
            let start = names[claim].start
            if text.extracting(start..<start + name.count).isSame(as: name) { places[claim] = place }
        }
    }
}

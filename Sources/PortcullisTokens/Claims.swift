import PortcullisCore
import PortcullisWire

/// What a token's payload says (RFC 7519, section 4): where each claim that is read stands. Its signature has been verified, or only
/// `issuer` is asked for.
struct Claims {
    private static let none = Int32(-1)
    /// The node of each claim's value.
    private var places = [15 of Int32](repeating: Self.none)

    /// - Parameter json: which has parsed `bytes`.
    init(_ json: StrictJSON, _ bytes: Span<UInt8>, _ table: ClaimTable) throws(Refusal) {
        guard json.kind(of: 0) == .object else { throw Refusal(.malformedToken, "The token's payload is no object.") }
        for (name, value) in json.members() {
            json.withText(name, in: bytes) { table.note(Int32(value), of: $0, in: &places) }
        }
        for (claim, parts) in table.paths where places[claim.rawValue] == Self.none {
            if let node = Self.node(at: parts, json, bytes) { places[claim.rawValue] = Int32(node) }
        }
    }

    /// The node at the end of a path; nil where a part of it is missing.
    private static func node(at parts: [Identifier], _ json: StrictJSON, _ bytes: Span<UInt8>) -> Int? {
        var node = 0
        for part in parts {
            let inner = json.members(of: node).first { name, _ in
                json.withText(name, in: bytes) { same(part.bytes, $0) }
            }
            guard let inner else { return nil }
            node = inner.value
        }
        return node
    }

    private static func same(_ name: [UInt8], _ text: Span<UInt8>) -> Bool {
        name.span.isSame(as: text)
    }

    /// The node of a claim's value; nil where the token lacks it.
    func node(_ claim: Claim) -> Int? {
        let place = places[claim.rawValue]
        return place == Self.none ? nil : Int(place)
    }

    /// A NumericDate (RFC 7519, section 2), which may have a fraction; nil where the token lacks it.
    /// - Throws: `malformed_token` where it is no number or not finite.
    func time(_ claim: Claim, _ json: StrictJSON, _ bytes: Span<UInt8>) throws(Refusal) -> WallTime? {
        guard let node = node(claim) else { return nil }
        if let seconds = json.integer(node, in: bytes) {
            return WallTime(milliseconds: seconds.multipliedClamped(by: 1000))
        }
        guard let seconds = json.number(node, in: bytes) else {
            throw Refusal(.malformedToken, "A time in the token is no number.")
        }
        let milliseconds = (seconds * 1000).rounded()
        if milliseconds >= 0x1p63 { return WallTime(milliseconds: .max) }
        return WallTime(milliseconds: milliseconds < -0x1p63 ? .min : Int64(milliseconds))
    }

    /// As many bytes as the ids have at most, escapes included.
    func idBytes(_ json: StrictJSON) -> Int {
        var count = 0
        func add(_ claim: Claim) {
            guard let node = node(claim) else { return }
            count += Int(json.nodes[node].end - json.nodes[node].start)
        }
        add(.user)
        add(.session)
        add(.token)
        add(.tenant)
        add(.device)
        add(.issuer)
        return min(count, 6 * 255)
    }

    /// Adds an id, where the token has it, to those of an identity.
    /// - Returns: whether the token has it.
    /// - Throws: `malformed_token` where it is no string or no well-formed identifier.
    func add(
        _ claim: Claim,
        to ids: inout IdentityText,
        _ json: StrictJSON,
        _ bytes: Span<UInt8>
    ) throws(Refusal) -> Bool {
        guard let node = node(claim) else { return false }
        let isText = json.kind(of: node) == .string
        guard isText, json.withText(node, in: bytes, { ids.append($0) }) else {
            throw Refusal(
                .malformedToken,
                "An id in the token is not 1 to 255 bytes of text without control characters."
            )
        }
        return true
    }

    /// Whether the token is meant for one of these: `aud` is a string or an array of strings (RFC 7519, section 4.1.3).
    /// - Throws: `malformed_token` where it is neither; `missing_claim` where it is asked for and absent.
    func isMeant(for audiences: [Identifier], _ json: StrictJSON, _ bytes: Span<UInt8>) throws(Refusal) -> Bool {
        guard let node = node(.audience) else {
            if audiences.isEmpty { return true }
            throw Refusal(.missingClaim, "The token names no audience (`aud`).")
        }
        func matches(_ node: Int) -> Bool {
            json.withText(node, in: bytes) { text in
                for index in audiences.indices where Self.same(audiences[index].bytes, text) { return true }
                return false
            }
        }
        switch json.kind(of: node) {
        case .string: return audiences.isEmpty || matches(node)
        case .array:
            var found = audiences.isEmpty
            for element in json.elements(of: node) {
                guard json.kind(of: element) == .string else {
                    throw Refusal(.malformedToken, "The token's audience holds something else than strings.")
                }
                found = found || matches(element)
            }
            return found
        default: throw Refusal(.malformedToken, "The token's audience is neither a string nor an array.")
        }
    }

    /// Whether `iss` is exactly this.
    /// - Throws: `malformed_token` where it is no string; `missing_claim` where it is absent.
    func isIssued(by issuer: Identifier, _ json: StrictJSON, _ bytes: Span<UInt8>) throws(Refusal) -> Bool {
        guard let node = node(.issuer) else { throw Refusal(.missingClaim, "The token names no issuer (`iss`).") }
        guard json.kind(of: node) == .string else { throw Refusal(.malformedToken, "The token's issuer is no string.") }
        return json.withText(node, in: bytes) { Self.same(issuer.bytes, $0) }
    }

    /// The roles that the token claims: an object of resources and the names of roles, and what its scopes allow. Names that mean
    /// nothing here allow nothing.
    func permissions(
        _ roles: RoleOrder,
        _ scopes: [Identifier: [ScopeGrant]],
        _ json: StrictJSON,
        _ bytes: Span<UInt8>
    ) -> [Identifier: Role] {
        var permissions: [Identifier: Role] = [:]
        if let node = node(.permissions) {
            for (name, value) in json.members(of: node) {
                guard let resource = json.string(name, in: bytes), resource.isWellFormed,
                    let role = json.string(value, in: bytes).flatMap({ roles.role(named: $0) })
                else { continue }
                permissions[resource] = role
            }
        }
        if !scopes.isEmpty, let node = node(.scope), let text = json.string(node, in: bytes) {
            for scope in text.bytes.split(separator: UInt8(ascii: " ")) {
                for grant in scopes[Identifier(bytes: Array(scope))] ?? [] {
                    permissions[grant.resource] = max(permissions[grant.resource] ?? grant.role, grant.role)
                }
            }
        }
        return permissions
    }
}

import PortcullisCore
import PortcullisTokens
import PortcullisWire

/// Says to a developer why a token was refused, in more words than a client is told.
///
/// Of a token whose signature is not valid it shows `alg`, `kid`, `typ` and the names of members, for whoever made it up chose the rest;
/// what a claim says is shown only where a key of ours has vouched for it.
struct TokenExplanation {
    let policy: TokenPolicy
    let token: [UInt8]
    /// The payload, where its signature is valid; else empty.
    let claims: [UInt8]
    let now: WallTime

    private let header: [UInt8]
    private let headerJSON: StrictJSON?

    init(_ policy: TokenPolicy, _ token: [UInt8], claims: [UInt8], now: WallTime) {
        self.policy = policy
        self.token = token
        self.claims = claims
        self.now = now
        var header: [UInt8] = []
        if token.count <= policy.maximumLength, let end = token.firstIndex(of: UInt8(ascii: ".")) {
            let text = Array(token[..<end])
            header = Base64URL.decode(text.span) ?? []
        }
        var json = StrictJSON(maximumDepth: 4)
        self.headerJSON = (try? json.parse(header.span)) == nil || json.kind(of: 0) != .object ? nil : json
        self.header = header
    }

    /// A sentence or two for the refusal.
    func words(_ refusal: Refusal) -> String {
        more(refusal) ?? refusal.detail
    }

    private func more(_ refusal: Refusal) -> String? {
        switch refusal.outcome {
        case .malformedToken: malformed(refusal.detail)
        case .algorithmForbidden: algorithm()
        case .unknownKey: key()
        case .typeForbidden: type()
        case .badSignature: signature()
        case .wrongIssuer: issuer()
        default: ClaimExplanation(policy, claims, now)?.words(refusal)
        }
    }

    // MARK: - Header

    private func member(_ name: StaticString) -> String? {
        headerJSON?.member(name, in: header.span).flatMap { headerJSON?.string($0, in: header.span) }
            .map { Self.quoted($0.description) }
    }

    /// A stranger's text for a line of output: short, and without control characters.
    static func quoted(_ text: String) -> String {
        let clean = text.unicodeScalars.prefix(64).map { $0.value < 0x20 || $0.value == 0x7F ? "?" : String($0) }
        return "\"\(clean.joined())\(text.unicodeScalars.count > 64 ? "…" : "")\""
    }

    /// The issuer whose keys were asked, as far as the token's own word goes.
    private var issuerAsked: TokenIssuer? {
        guard policy.issuers.count > 1 else { return policy.issuers.first }
        let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let payload = Array(parts[1])
        guard let claims = Base64URL.decode(payload.span) else { return nil }
        var json = StrictJSON()
        guard (try? json.parse(claims.span)) != nil,
            let name = json.member("iss", in: claims.span).flatMap({ json.string($0, in: claims.span) })
        else { return nil }
        return policy.issuers.first { $0.issuer == name }
    }

    private func list(_ texts: [String]) -> String {
        texts.isEmpty ? "none" : texts.prefix(20).joined(separator: ", ") + (texts.count > 20 ? " and more" : "")
    }

    private func algorithm() -> String? {
        guard let said = member("alg"), let issuer = issuerAsked else { return nil }
        let keys = issuer.keys.keys
        let known = list(keys.map(\.algorithm.rawValue).reduce(into: []) { if !$0.contains($1) { $0.append($1) } })
        if let kid = member("kid"), let key = keys.first(where: { isNamed($0, kid) }),
            keys.contains(where: { Self.quoted($0.algorithm.rawValue) == said })
        {
            return "The token says \"alg\" \(said), but its key \(kid) is for \(key.algorithm.rawValue) only."
        }
        return
            "The token says \"alg\" \(said); the keys here are for \(known). The algorithm is the key's, whatever a token says: sign with that one, or set tokens.algorithm."
    }

    private func isNamed(_ key: VerificationKey, _ kid: String) -> Bool {
        [key.kid, key.thumbprint].contains { $0.map { Self.quoted($0.description) } == kid }
    }

    private func key() -> String? {
        guard let issuer = issuerAsked, headerJSON != nil else { return nil }
        let keys = issuer.keys.keys
        let known = list(keys.compactMap { $0.kid ?? $0.thumbprint }.map { Self.quoted($0.description) })
        guard let kid = member("kid") else {
            return "The token names no key (\"kid\"), and there are \(keys.count) to choose from: \(known)."
        }
        return "The token names the key \(kid); known are \(known)."
    }

    private func type() -> String {
        let said = member("typ").map { "The token says \"typ\" \($0)" } ?? "The token says no \"typ\""
        return "\(said); accepted are \(policy.types) (tokens.types)."
    }

    private func signature() -> String? {
        guard let issuer = issuerAsked else { return nil }
        let keys = issuer.keys.keys
        let kid = member("kid")
        let key = keys.first { key in kid.map { isNamed(key, $0) } ?? false } ?? (keys.count == 1 ? keys.first : nil)
        guard let key else { return nil }
        return
            "The signature is not that of the \(key): the token was signed with another key, or changed behind the signing."
    }

    private func issuer() -> String? {
        let known = list(policy.issuers.compactMap(\.issuer).map { Self.quoted($0.description) })
        guard let said = ClaimExplanation(policy, claims, now)?.text("iss") else {
            return "The token's issuer (\"iss\") is none that is configured: \(known)."
        }
        return "The token is of the issuer \(said); expected is \(known) (tokens.issuer)."
    }

    // MARK: - Shape

    private static let forbidden = ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"]

    private func malformed(_ detail: String) -> String? {
        if token.count > policy.maximumLength {
            return "The token has more than the \(policy.maximumLength) bytes that are accepted (limits.token)."
        }
        if token.prefix(7).map({ $0 | 0x20 }) == Array("bearer ".utf8) {
            return "The text begins with \"Bearer\", which is no part of the token: leave it out."
        }
        if token.contains(where: { [0x20, 0x09, 0x0A, 0x0D].contains($0) }) {
            return "There is white space in the token: it is one word."
        }
        let dots = token.count { $0 == UInt8(ascii: ".") }
        if dots == 4 { return "The token has five segments: it is encrypted (JWE), and only signed ones are accepted." }
        if dots != 2 {
            return dots < 2 && token.isEmpty ? nil : "\(detail) A signed token has three, with dots between."
        }
        if token.contains(where: { "=+/".utf8.contains($0) }) {
            return "\(detail) It holds one of = + /: base64url has - and _ for the last two and no padding."
        }
        if let headerJSON, let name = names(headerJSON, header).first(where: Self.forbidden.contains) {
            return
                "The token's header has the member \"\(name)\", which would change what the signature means or where its key comes from: it is not accepted."
        }
        return ClaimExplanation(policy, claims, now)?.malformed() ?? payload() ?? detail
    }

    private func names(_ json: StrictJSON, _ bytes: [UInt8]) -> [String] {
        json.members().compactMap { json.string($0.name, in: bytes.span)?.description }
    }

    /// What is wrong with a payload that is signed.
    private func payload() -> String? {
        guard !claims.isEmpty else { return nil }
        var json = StrictJSON(maximumDepth: 16)
        do {
            try json.parse(claims.span)
            return json.kind(of: 0) == .object ? nil : "The token's payload is JSON, but no object of claims."
        } catch {
            return "The token is signed, but its payload is not strict JSON: \(error.words)."
        }
    }
}

extension JSONError {
    /// What is wrong, for the end of a sentence.
    var words: String {
        switch self {
        case .malformed(let at): "it breaks the grammar at byte \(at)"
        case .notUnicode(let at): "it is not UTF-8 at byte \(at)"
        case .tooDeep: "it is nested too deep"
        case .duplicateMember(let at): "a member at byte \(at) stands twice in its object"
        case .trailingData(let at): "something stands behind the value at byte \(at)"
        case .tooLarge: "it is too large"
        }
    }
}

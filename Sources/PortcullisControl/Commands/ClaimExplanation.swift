import Foundation
import PortcullisCore
import PortcullisTokens
import PortcullisWire

/// Says what is wrong with the claims of a token whose signature is valid.
struct ClaimExplanation {
    private let policy: TokenPolicy
    private let claims: [UInt8]
    private let json: StrictJSON
    private let now: WallTime

    /// nil where there are no claims to speak of.
    init?(_ policy: TokenPolicy, _ claims: [UInt8], _ now: WallTime) {
        var json = StrictJSON(maximumDepth: 16)
        guard (try? json.parse(claims.span)) != nil, json.kind(of: 0) == .object else { return nil }
        self.policy = policy
        self.claims = claims
        self.json = json
        self.now = now
    }

    func words(_ refusal: Refusal) -> String? {
        switch refusal.outcome {
        case .expired: expired()
        case .notYetValid: early()
        case .lifeTooLong: life()
        case .wrongAudience: audience()
        case .missingClaim: missing(refusal.detail)
        default: nil
        }
    }

    // MARK: - What claims say

    private func node(_ name: StaticString) -> Int? {
        json.member(name, in: claims.span)
    }

    func text(_ name: StaticString) -> String? {
        node(name).flatMap { json.string($0, in: claims.span) }.map { TokenExplanation.quoted($0.description) }
    }

    private func seconds(_ name: StaticString) -> Double? {
        node(name).flatMap { json.number($0, in: claims.span) }
    }

    private var names: String {
        let names = json.members().compactMap { json.string($0.name, in: claims.span) }
        let shown = names.prefix(20).map { TokenExplanation.quoted($0.description) }.joined(separator: ", ")
        return names.isEmpty ? "no claims" : "the claims \(shown)" + (names.count > 20 ? " and more" : "")
    }

    private var nowInSeconds: Double { Double(now.milliseconds) / 1000 }

    private static func moment(_ seconds: Double) -> String {
        // The years that RFC 3339 can write.
        guard (0..<253_402_300_800).contains(seconds) else { return "\(seconds) s since 1970" }
        return Date(timeIntervalSince1970: seconds).formatted(.iso8601)
    }

    /// `45 s`, `12 min`, `3 h 5 min`, `40 d 2 h`.
    static func span(_ seconds: Double) -> String {
        guard seconds < 1e11 else { return "thousands of years" }
        let whole = Int(max(0, seconds).rounded(.down))
        let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")]
        guard let first = units.firstIndex(where: { whole >= $0.0 }) else { return "less than a second" }
        let (size, name) = units[first]
        guard first + 1 < units.count, first < 2 else { return "\(whole / size) \(name)" }
        let (smaller, smallerName) = units[first + 1]
        let rest = whole % size / smaller
        return "\(whole / size) \(name)" + (rest > 0 ? " \(rest) \(smallerName)" : "")
    }

    private func missing(_ detail: String) -> String {
        let user = issuer?.claims.user.description ?? "sub"
        // All else that can be missing is named in the detail.
        let wanted =
            detail.contains("user") ? " Its claim would be \(TokenExplanation.quoted(user)) (tokens.claims.user)." : ""
        return "\(detail)\(wanted) It has \(names)."
    }

    private func expired() -> String? {
        guard let exp = seconds("exp") else { return nil }
        return
            "The token expired at \(Self.moment(exp)), \(Self.span(nowInSeconds - exp)) ago (exp, which has no leeway)."
    }

    private func early() -> String? {
        let leeway = "leeway is \(Self.span(Double(policy.leeway.count) / 1000)), tokens.leeway"
        let claims = [("iat", seconds("iat")), ("nbf", seconds("nbf"))]
        let latest = nowInSeconds + Double(policy.leeway.count) / 1000
        guard let (name, time) = claims.first(where: { $0.1.map { $0 > latest } ?? false }), let time else {
            return nil
        }
        let what = name == "iat" ? "was issued in the future, at" : "is not valid before"
        return
            "The token \(what) \(Self.moment(time)) (\(name)), \(Self.span(time - nowInSeconds)) from now (\(leeway)): compare the clocks."
    }

    private func life() -> String? {
        guard let exp = seconds("exp") else { return nil }
        let most = Self.span(Double(policy.longestLife.count) / 1000)
        guard let iat = seconds("iat") else {
            return "The token lives \(Self.span(exp - nowInSeconds)) more; accepted is \(most) (tokens.longest_life)."
        }
        return "The token lives \(Self.span(exp - iat)) from iat to exp; accepted is \(most) (tokens.longest_life)."
    }

    /// The issuer that the token is of, which its key vouches for.
    private var issuer: TokenIssuer? {
        guard policy.issuers.count > 1 else { return policy.issuers.first }
        let name = node("iss").flatMap { json.string($0, in: claims.span) }
        return policy.issuers.first { $0.issuer == name }
    }

    private func audience() -> String? {
        guard let wanted = issuer?.audiences, let node = node("aud") else { return nil }
        let nodes = json.kind(of: node) == .array ? Array(json.elements(of: node)) : [node]
        let said = nodes.prefix(8).compactMap { json.string($0, in: claims.span)?.description }
            .map(TokenExplanation.quoted).joined(separator: ", ")
        let expected = wanted.map { TokenExplanation.quoted($0.description) }.joined(separator: " or ")
        return
            "The token is meant for \(said.isEmpty ? "nobody" : said) (aud); expected is \(expected) (tokens.audience)."
    }

    // MARK: - Of the wrong kind

    /// The first claim that is not of the kind it must be.
    func malformed() -> String? {
        for name in ["exp", "iat", "nbf", "auth_time"] as [StaticString] {
            guard let node = node(name), json.number(node, in: claims.span) == nil else { continue }
            return "The claim \(name) is no number of seconds: it is \(kind(node))."
        }
        let names = issuer?.claims ?? ClaimNames()
        let ids = ["jti", "iss", names.user, names.session, names.tenant, names.device] as [Identifier]
        for (name, value) in json.members() {
            guard let name = json.string(name, in: claims.span), ids.contains(name) else { continue }
            guard let id = json.string(value, in: claims.span) else {
                return "The claim \(TokenExplanation.quoted(name.description)) is no text: it is \(kind(value))."
            }
            if !id.isWellFormed {
                return
                    "The claim \(TokenExplanation.quoted(name.description)) is not 1 to 255 bytes without control characters: it has \(id.bytes.count) bytes."
            }
        }
        return nil
    }

    private func kind(_ node: Int) -> String {
        switch json.kind(of: node) {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number out of bounds"
        case .string: "a text"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

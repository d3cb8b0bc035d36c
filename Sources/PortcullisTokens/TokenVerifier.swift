public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// Verifies tokens: shape, header, key, signature, claims, in this order, so that nothing of a token is believed before its signature
/// is. One for each loop: it keeps its buffers, parsers and the contexts of its keys, and refuses without an allocation.
public final class TokenVerifier {
    public let policy: TokenPolicy
    /// The names of each issuer's claims.
    private let names: [[Identifier]]
    /// For each issuer's keys, made when first needed.
    private var contexts: [[KeyContext?]]

    private var headerJSON = StrictJSON(maximumDepth: 4)
    private var payloadJSON = StrictJSON(maximumDepth: 16)
    private var header: [UInt8]
    private var payload: [UInt8]
    private var signature: [UInt8]
    private var payloadCount = 0

    public init(_ policy: TokenPolicy) {
        self.policy = policy
        self.names = policy.issuers.map { Claims.names($0.claims) }
        self.contexts = policy.issuers.map { Array(repeating: nil, count: $0.keys.keys.count) }
        let size = Base64URL.decodedCount(policy.maximumLength)
        self.header = Array(repeating: 0, count: size)
        self.payload = Array(repeating: 0, count: size)
        self.signature = Array(repeating: 0, count: size)
    }

    /// The key that a token names, and what its header calls it.
    private struct Choice {
        let issuer: Int
        let key: Int
        let kid: Int?
    }

    // MARK: - Verdicts

    /// Judges a token at a moment.
    /// - Throws: why it is refused. The order is fixed: what is said of a claim is said of a token whose signature is valid.
    public func verify(_ token: Span<UInt8>, now: WallTime) throws(Refusal) -> VerifiedToken {
        let choice = try authenticate(token, parsesPayload: true)
        return try judge(token, choice, now)
    }

    /// Judges header, key and signature alone. The payload may be any bytes and is not parsed, except where several issuers are
    /// configured and its `iss` must choose among them.
    public func verifySignature(_ token: Span<UInt8>) throws(Refusal) {
        _ = try authenticate(token, parsesPayload: false)
    }

    /// The payload of the token that was judged last, where its signature is valid: the claims as JSON text. Else empty.
    public var claimsJSON: [UInt8] {
        Array(payload.prefix(payloadCount))
    }

    // MARK: - Header, key, signature

    private func authenticate(_ token: Span<UInt8>, parsesPayload: Bool) throws(Refusal) -> Choice {
        payloadCount = 0
        let compact = try CompactToken(token, maximumLength: policy.maximumLength)
        guard let headerCount = Base64URL.decode(token.extracting(compact.header), into: &header) else {
            throw Refusal(.malformedToken, "The token's header is not base64url.")
        }
        guard let count = Base64URL.decode(token.extracting(compact.payload), into: &payload) else {
            throw Refusal(.malformedToken, "The token's payload is not base64url.")
        }
        guard let signatureCount = Base64URL.decode(token.extracting(compact.signature), into: &signature) else {
            throw Refusal(.malformedToken, "The token's signature is not base64url.")
        }
        let choice = try choose(headerCount, count)
        let context = try context(choice)
        // The local copies are references: they keep the buffers in place while spans of them are lent.
        let signature = signature
        guard context.isValid(signature.span.extracting(first: signatureCount), of: token.extracting(compact.signed))
        else { throw Refusal(.badSignature, "The token's signature is not valid.") }
        if parsesPayload, policy.issuers.count == 1 { try parsePayload(count) }
        payloadCount = count
        return choice
    }

    private func choose(_ headerCount: Int, _ payloadCount: Int) throws(Refusal) -> Choice {
        let buffer = self.header
        let bytes = buffer.span.extracting(first: headerCount)
        do {
            try headerJSON.parse(bytes)
        } catch {
            throw Refusal(.malformedToken, "The token's header is not strict JSON.")
        }
        let header = try Header(headerJSON, bytes, policy.types)
        let issuer = try chooseIssuer(payloadCount)
        let keys = policy.issuers[issuer].keys
        guard let algorithm = header.algorithm, keys.uses(algorithm) else {
            throw Refusal(.algorithmForbidden, "The token's algorithm is that of none of its issuer's keys.")
        }
        let key: Int?
        if let kid = header.kid {
            key = headerJSON.withText(kid, in: bytes) { keys.index(of: $0) }
        } else {
            key = keys.index(of: nil)
        }
        guard let key else { throw Refusal(.unknownKey, "The token does not name a key of its issuer.") }
        guard keys.keys[key].algorithm == algorithm else {
            throw Refusal(.algorithmForbidden, "The token's algorithm is not that of its key.")
        }
        guard header.isTypeAccepted else { throw Refusal(.typeForbidden, "The token's type is not accepted.") }
        return Choice(issuer: issuer, key: key, kid: header.kid)
    }

    /// Picks among the configured issuers by a claim that nobody has verified: a token that lies here meets a key that is not its own.
    private func chooseIssuer(_ payloadCount: Int) throws(Refusal) -> Int {
        guard policy.issuers.count != 1 else { return 0 }
        guard !policy.issuers.isEmpty else { throw Refusal(.unknownKey, "No key for tokens is configured.") }
        try parsePayload(payloadCount)
        let payload = payload
        let bytes = payload.span.extracting(first: payloadCount)
        let claims = try Claims(payloadJSON, bytes, names[0])
        for index in policy.issuers.indices {
            guard let issuer = policy.issuers[index].issuer else { continue }
            if try claims.isIssued(by: issuer, payloadJSON, bytes) { return index }
        }
        throw Refusal(.wrongIssuer, "The token's issuer is none that is configured.")
    }

    private func context(_ choice: Choice) throws(Refusal) -> KeyContext {
        if let context = contexts[choice.issuer][choice.key] { return context }
        do {
            let context = try KeyContext(policy.issuers[choice.issuer].keys.keys[choice.key])
            contexts[choice.issuer][choice.key] = context
            return context
        } catch {
            throw Refusal(.storeUnavailable, "The key could not be set up: \(error)")
        }
    }

    private func parsePayload(_ count: Int) throws(Refusal) {
        let payload = payload
        do {
            try payloadJSON.parse(payload.span.extracting(first: count))
        } catch {
            throw Refusal(.malformedToken, "The token's payload is not strict JSON.")
        }
    }

    // MARK: - Claims

    private func judge(_ token: Span<UInt8>, _ choice: Choice, _ now: WallTime) throws(Refusal) -> VerifiedToken {
        let payload = payload
        let bytes = payload.span.extracting(first: payloadCount)
        let issuer = policy.issuers[choice.issuer]
        let claims = try Claims(payloadJSON, bytes, names[choice.issuer])
        if let name = issuer.issuer, try !claims.isIssued(by: name, payloadJSON, bytes) {
            throw Refusal(.wrongIssuer, "The token's issuer is another.")
        }
        guard try claims.isMeant(for: issuer.audiences, payloadJSON, bytes) else {
            throw Refusal(.wrongAudience, "The token is meant for another audience.")
        }
        let (issued, expires) = try judgeTimes(claims, bytes, now)
        guard let user = try claims.identifier(.user, payloadJSON, bytes) else {
            throw Refusal(.missingClaim, "The token names no user.")
        }
        var ids: [Identity.Field: Identifier] = [:]
        ids[.session] = try claims.identifier(.session, payloadJSON, bytes)
        ids[.token] = try claims.identifier(.token, payloadJSON, bytes)
        ids[.tenant] = try claims.identifier(.tenant, payloadJSON, bytes)
        ids[.device] = try claims.identifier(.device, payloadJSON, bytes)
        ids[.issuer] = try claims.identifier(.issuer, payloadJSON, bytes)
        let key = issuer.keys.keys[choice.key]
        ids[.key] = key.kid ?? kid(choice)
        if policy.hashesTokens { ids[.tokenHash] = try Self.hash(token) }
        let identity = Identity(
            user: user,
            ids: ids,
            issued: issued,
            expires: expires,
            authenticated: try claims.time(.authenticated, payloadJSON, bytes),
            kind: .token,
            permissions: claims.permissions(policy.roles, issuer.scopes, payloadJSON, bytes)
        )
        let version = claims.node(.version) ?? claims.node(.longVersion)
        return VerifiedToken(
            identity: identity,
            expires: expires,
            version: version.flatMap { payloadJSON.integer($0, in: bytes) },
            key: key,
            issuer: choice.issuer
        )
    }

    /// The name that a token gives to a key which has none of its own. The signature covers it.
    private func kid(_ choice: Choice) -> Identifier? {
        guard let kid = choice.kid else { return nil }
        let header = header
        return headerJSON.string(kid, in: header.span)
    }

    private func judgeTimes(
        _ claims: Claims,
        _ bytes: Span<UInt8>,
        _ now: WallTime
    ) throws(Refusal) -> (issued: WallTime?, expires: WallTime) {
        guard let expires = try claims.time(.expires, payloadJSON, bytes) else {
            throw Refusal(.missingClaim, "The token names no end (`exp`).")
        }
        let issued = try claims.time(.issuedAt, payloadJSON, bytes)
        let notBefore = try claims.time(.notBefore, payloadJSON, bytes)
        guard now < expires else { throw Refusal(.expired, "The token has expired.") }
        let latest = now + policy.leeway
        if let issued, latest < issued { throw Refusal(.notYetValid, "The token was issued in the future (`iat`).") }
        if let notBefore, latest < notBefore { throw Refusal(.notYetValid, "The token is not valid yet (`nbf`).") }
        guard expires.since(issued ?? now) <= policy.longestLife else {
            throw Refusal(.lifeTooLong, "The token lives longer than is accepted.")
        }
        return (issued, expires)
    }

    /// The hash that names a token in a selector: SHA-256 of its bytes as lower-case digits.
    public static func hash(_ token: Span<UInt8>) throws(Refusal) -> Identifier {
        do {
            let digest = try SHA256.digest(token)
            return Identifier(bytes: Hexadecimal.encode((0..<32).map { digest[$0] }))
        } catch {
            throw Refusal(.storeUnavailable, "The token could not be hashed.")
        }
    }
}

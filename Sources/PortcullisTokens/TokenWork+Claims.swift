import PortcullisCore
import PortcullisWire

extension TokenWork {
    /// Judges the claims of the token that was authenticated last, and whose payload was parsed.
    func judge(_ token: Span<UInt8>, _ choice: Choice, _ now: WallTime) throws(Refusal) -> VerifiedToken {
        let bytes = payload.span.extracting(first: payloadCount)
        let claims = try Claims(payloadJSON, bytes, tables[choice.issuer])
        if let name = policy.issuers[choice.issuer].issuer, try !claims.isIssued(by: name, payloadJSON, bytes) {
            throw Refusal(.wrongIssuer, "The token's issuer is another.")
        }
        guard try claims.isMeant(for: policy.issuers[choice.issuer].audiences, payloadJSON, bytes) else {
            throw Refusal(.wrongAudience, "The token is meant for another audience.")
        }
        let (issued, expires) = try judgeTimes(claims, bytes, now)
        let authenticated = try claims.time(.authenticated, payloadJSON, bytes)
        let ids = try ids(token, claims, bytes, choice.kid)
        let version = claims.node(.version) ?? claims.node(.longVersion)
        return VerifiedToken(
            identity: ids.identity(
                issued: issued,
                expires: expires,
                authenticated: authenticated,
                permissions: claims.permissions(policy.roles, policy.issuers[choice.issuer].scopes, payloadJSON, bytes)
            ),
            expires: expires,
            version: version.flatMap { payloadJSON.integer($0, in: bytes) },
            key: policy.issuers[choice.issuer].keys.keys[choice.key],
            issuer: choice.issuer,
            keyIndex: choice.key
        )
    }

    /// The ids, in the order of ``Identity/Field``.
    private func ids(
        _ token: Span<UInt8>,
        _ claims: Claims,
        _ bytes: Span<UInt8>,
        _ kid: Identifier?
    ) throws(Refusal) -> IdentityText {
        var ids = IdentityText(
            capacity: claims.idBytes(payloadJSON) + (kid?.bytes.count ?? 0) + (policy.hashesTokens ? 64 : 0)
        )
        guard try claims.add(.user, to: &ids, payloadJSON, bytes) else {
            throw Refusal(.missingClaim, "The token names no user.")
        }
        ids.end(.user)
        _ = try claims.add(.session, to: &ids, payloadJSON, bytes)
        ids.end(.session)
        _ = try claims.add(.token, to: &ids, payloadJSON, bytes)
        ids.end(.token)
        if policy.hashesTokens { ids.append(try TokenVerifier.hash(token)) }
        ids.end(.tokenHash)
        _ = try claims.add(.tenant, to: &ids, payloadJSON, bytes)
        ids.end(.tenant)
        _ = try claims.add(.device, to: &ids, payloadJSON, bytes)
        ids.end(.device)
        if let kid { ids.append(kid) }
        ids.end(.key)
        _ = try claims.add(.issuer, to: &ids, payloadJSON, bytes)
        ids.end(.issuer)
        return ids
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
}

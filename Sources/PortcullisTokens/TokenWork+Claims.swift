import PortcullisCore
import PortcullisCrypto
import PortcullisWire

extension TokenWork {
    /// Judges the claims of the token that was authenticated last, and whose payload was parsed.
    /// - Parameter digest: SHA-256 of the token, where it was computed already.
    func judge(
        _ token: Span<UInt8>,
        _ choice: Choice,
        _ now: WallTime,
        digest: [32 of UInt8]?
    ) throws(Refusal) -> VerifiedToken {
        let bytes = payload.span.extracting(first: payloadCount)
        let claims = try Claims(payloadJSON, bytes, tables[choice.issuer])
        if let name = policy.issuers[choice.issuer].issuer, try !claims.isIssued(by: name, payloadJSON, bytes) {
            throw Refusal(.wrongIssuer, "The token's issuer is another.")
        }
        guard try claims.isMeant(for: policy.issuers[choice.issuer].audiences, payloadJSON, bytes) else {
            throw Refusal(.wrongAudience, "The token is meant for another audience.")
        }
        let times = try times(claims, bytes)
        try times.judge(by: policy, now)
        let authenticated = try claims.time(.authenticated, payloadJSON, bytes)
        let ids = try ids(token, claims, bytes, choice.kid, digest)
        let version = claims.node(.version) ?? claims.node(.longVersion)
        return VerifiedToken(
            identity: ids.identity(
                issued: times.issued,
                expires: times.expires,
                authenticated: authenticated,
                permissions: claims.permissions(policy.roles, policy.issuers[choice.issuer].scopes, payloadJSON, bytes)
            ),
            expires: times.expires,
            notBefore: times.notBefore,
            version: version.flatMap { payloadJSON.integer($0, in: bytes) },
            key: key(of: choice),
            issuer: choice.issuer,
            keyIndex: choice.key
        )
    }

    /// The ids, in the order of ``Identity/Field``.
    private func ids(
        _ token: Span<UInt8>,
        _ claims: Claims,
        _ bytes: Span<UInt8>,
        _ kid: Identifier?,
        _ digest: [32 of UInt8]?
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
        if policy.hashesTokens {
            let digest = digest ?? SHA256.digest(token)
            ids.append(hexadecimal: digest.span)
        }
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

    private func times(_ claims: Claims, _ bytes: Span<UInt8>) throws(Refusal) -> TokenTimes {
        guard let expires = try claims.time(.expires, payloadJSON, bytes) else {
            throw Refusal(.missingClaim, "The token names no end (`exp`).")
        }
        return TokenTimes(
            issued: try claims.time(.issuedAt, payloadJSON, bytes),
            expires: expires,
            notBefore: try claims.time(.notBefore, payloadJSON, bytes)
        )
    }
}

public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// Verifies tokens: shape, header, key, signature, claims, in this order, so that nothing of a token is believed before its signature
/// is. One for each loop: it keeps its buffers, parsers and the contexts of its keys, and refuses without an allocation of its own.
public final class TokenVerifier {
    private var work: TokenWork
    private let remembered: VerifiedTokens?

    /// - Parameter remembered: the tokens that were verified by this very policy, where they are remembered.
    public init(_ policy: TokenPolicy, remembering remembered: VerifiedTokens? = nil) {
        work = TokenWork(policy)
        self.remembered = remembered
    }

    public var policy: TokenPolicy {
        work.policy
    }

    /// Judges a token at a moment.
    /// - Throws: why it is refused. The order is fixed: what is said of a claim is said of a token whose signature is valid.
    public func verify(_ token: Span<UInt8>, now: WallTime) throws(Refusal) -> VerifiedToken {
        let reading = try work.read(token)
        // A code is computed faster than it is looked up.
        guard let remembered, work.key(of: reading.choice).isPair else {
            let choice = try work.authenticate(token, reading, parsesPayload: true)
            return try work.judge(token, choice, now, digest: nil)
        }
        let digest = SHA256.digest(token)
        let name = TokenDigest(digest)
        if let known = remembered.find(name, now) {
            try known.times.judge(by: policy, now)
            work.knowAuthentic(reading)
            return known
        }
        let choice = try work.authenticate(token, reading, parsesPayload: true)
        let verified = try work.judge(token, choice, now, digest: digest)
        remembered.remember(verified, name, now)
        return verified
    }

    /// Judges header, key and signature alone. The payload may be any bytes and is not parsed, except where several issuers are
    /// configured and its `iss` must choose among them.
    public func verifySignature(_ token: Span<UInt8>) throws(Refusal) {
        _ = try work.authenticate(token, try work.read(token), parsesPayload: false)
    }

    /// The payload of the token that was judged last, where its signature is valid: the claims as JSON text. Else empty.
    public var claimsJSON: [UInt8] {
        work.authenticPayload
    }

    /// The key that the token that was judged last names and that may still come, where it was refused with `unknown_key`.
    public var unknownKey: UnknownKey? {
        work.unknownKey
    }

    /// The hash that names a token in a selector: SHA-256 of its bytes as lower-case digits.
    public static func hash(_ token: Span<UInt8>) -> Identifier {
        let digest = SHA256.digest(token)
        return Identifier(bytes: Hexadecimal.encode(digest.span))
    }
}

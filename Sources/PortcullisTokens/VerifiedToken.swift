public import PortcullisCore

/// What a token says that was verified: the only way from bytes to an identity.
public struct VerifiedToken: Sendable {
    /// Whose connection it opens.
    public let identity: Identity
    /// The end of the token.
    public let expires: WallTime
    /// Before then it does not count (`nbf`); nil where it does not say.
    let notBefore: WallTime?
    /// `ver`, or `version`, where it is a whole number.
    public let version: Int64?
    /// The key that verified it. What is remembered of a token goes when its key does.
    public let key: VerificationKey
    /// The place of its issuer in the policy.
    public let issuer: Int
    /// The place of the key among those of its issuer.
    public let keyIndex: Int

    var times: TokenTimes {
        TokenTimes(issued: identity.issued, expires: expires, notBefore: notBefore)
    }
}

/// When a token counts. A signature that was valid stays valid; these are judged anew each time that a token is shown.
struct TokenTimes {
    let issued: WallTime?
    let expires: WallTime
    let notBefore: WallTime?

    func judge(by policy: TokenPolicy, _ now: WallTime) throws(Refusal) {
        guard now < expires else { throw Refusal(.expired, "The token has expired.") }
        let latest = now + policy.leeway
        if let issued, latest < issued { throw Refusal(.notYetValid, "The token was issued in the future (`iat`).") }
        if let notBefore, latest < notBefore { throw Refusal(.notYetValid, "The token is not valid yet (`nbf`).") }
        guard expires.since(issued ?? now) <= policy.longestLife else {
            throw Refusal(.lifeTooLong, "The token lives longer than is accepted.")
        }
    }
}

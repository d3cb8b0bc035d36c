public import PortcullisCore

/// What a token says that was verified: the only way from bytes to an identity.
public struct VerifiedToken: Sendable {
    /// Whose connection it opens.
    public let identity: Identity
    /// The end of the token.
    public let expires: WallTime
    /// `ver`, or `version`, where it is a whole number.
    public let version: Int64?
    /// The key that verified it. What is remembered of a token goes when its key does.
    public let key: VerificationKey
    /// The place of its issuer in the policy.
    public let issuer: Int
    /// The place of the key among those of its issuer.
    public let keyIndex: Int
}

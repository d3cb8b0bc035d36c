public import PortcullisCore

/// What a server session says (redis.md, *Sessions*): who it is of, and what it asks of whoever presents it.
public struct ServerSession: Sendable {
    public var identity: Identity
    /// The address that it is bound to, as it is written; nil: it names none.
    public var address: Identifier?
    /// The SHA-256 of the user agent that it is bound to, in hexadecimal; nil: it names none.
    public var userAgentHash: Identifier?
    /// Whether a second factor was shown; nil: it does not say.
    public var isMFAVerified: Bool?
    /// How long it lives from one use to the next, where it says so itself (`cookie.originalMaxAge` of express-session).
    public var life: Milliseconds?

    public init(
        identity: Identity,
        address: Identifier? = nil,
        userAgentHash: Identifier? = nil,
        isMFAVerified: Bool? = nil,
        life: Milliseconds? = nil
    ) {
        self.identity = identity
        self.address = address
        self.userAgentHash = userAgentHash
        self.isMFAVerified = isMFAVerified
        self.life = life
    }
}

public import PortcullisCore
public import PortcullisRedis
public import PortcullisTokens
public import PortcullisWire

/// What a gate tells whoever keeps its log. Nothing in it is a secret.
public enum GateReport: Sendable {
    case redisReady
    case redisLost(String)
    /// A sentinel can't be asked, or does not know: its address and why.
    case sentinelLost(String, String)
    /// What holds when Redis is failed over, by its own settings.
    case replication(ReplicationBound, hasSentinels: Bool)
    /// Fewer replicas than asked for have what was adopted, or it could not be found out.
    case replicasMissing(asked: Int, have: Int?, String?)
    /// The view of the log is whole: handshakes are admitted.
    case vouching(position: String)
    /// Nobody is admitted until the view is whole again.
    case notVouching(String)
    /// The view could not be confirmed for the length of the lease: nothing passes, or (`best_effort`) only this is said.
    case froze(serves: Bool)
    case thawed(after: Milliseconds)
    /// The freeze has lasted too long: everybody is closed.
    case freezeLimitReached
    /// Decisions that Redis has lost are put back.
    case restoring(Int)
    case eventRejected(EventRejection)
    case eventNotAdopted(String)
    /// So many messages on channels of rooms can't be read, and why the last can't. At most once a second.
    case roomMessagesRejected(Int, RoomMessageRejection)
    /// Redis refuses to pass on a member's message.
    case roomNotPublished(String)
    /// Redis refuses to keep who is in a room. Once a link.
    case presenceNotKept(String)
    /// An entry of the log that cannot be read.
    case logEntryRejected(position: String, EventRejection)
    case decided(type: String, event: Identifier, matched: Int, closed: Int, microseconds: Int64)
    case refused(Handshake, Refusal)
    /// A live connection's `refresh` was not accepted.
    case refreshRefused(ConnectionID, IPAddress?, Refusal)
    /// A token was refused that names a key which may have come to its source meanwhile. As often as clients like.
    case unknownKey(UnknownKey)
    /// A loop has acted on keys that count no more.
    case keysWithdrawn(closed: Int, refused: Int)
    /// Told only where ``GateConfiguration/reportsAdmissions`` is set.
    case admitted(ConnectionID, user: Identifier, credential: CredentialKind, address: IPAddress?)
    case closed(connection: ConnectionID, user: Identifier, code: UInt16, reason: String)
    /// A session does not say when it was made, or names a time to come; told once.
    case sessionsLackCreation
    /// Redis refuses to renew sessions that are in use; told once for each link.
    case sessionsNotRenewed(String)
    /// A forwarding header came from a peer that is no trusted proxy; told once.
    case forwardNotTrusted(IPAddress?)
    /// A trusted proxy forwards for something that is no address; told once.
    case forwardUnreadable(IPAddress)
    /// `limits.connections` is reached: nobody is accepted until a connection ends. Told once a minute at most.
    case full(connections: Int)
    case acceptFailed(String)
    case loopFailed(String)
    case stopped

    /// What is known of a handshake.
    public struct Handshake: Sendable {
        /// The `request_id` that a refused client is told.
        public let request: String
        public let credential: CredentialKind
        public let address: IPAddress?
    }
}

/// What readiness shows (operate.md).
public struct GateStatus: Equatable, Sendable {
    /// Whether handshakes are admitted.
    public var isReady = false
    /// How far the log has been read.
    public var position = ""
    /// The time since the last question that confirmed the view; nil before the first.
    public var staleness: Milliseconds?
    /// The time that the last probe took from the gate to Redis and back by the subscription.
    public var probe: Milliseconds?
    /// Whether the view could not be confirmed for the length of the lease.
    public var isFrozen = false
    /// Events of a version, type or selector that this gate does not know.
    public var unknownEvents = 0
    public var connections = 0
    /// Requests of trusted proxies whose `X-Forwarded-For` could not be read.
    public var unreadableForwards = 0
    public var standing = 0
    /// Tokens that were shown again and whose signature was not verified again, and tokens that were looked for among those in vain.
    public var rememberedTokens = 0
    public var unknownTokens = 0
    /// Handshakes whose session was not read for them, for it was known.
    public var knownSessions = 0

    public init() {}
}

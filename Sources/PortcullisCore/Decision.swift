/// What an event asks for (redis.md, *Events*).
public enum Decision: Equatable, Sendable {
    /// Matching connections are closed, matching credentials refused.
    case revoke(Revocation)
    /// Matching connections are closed and refused until it ends or is lifted; nil: for ever.
    case block(Selector, except: Selector?, until: WallTime?)
    /// Lifts the blocks of the same selector.
    case unblock(Selector)
    /// Sets a user's role on a resource; a nil role takes it away.
    case permit(Permit)
    /// Matching connections must refresh within the deadline with a later authentication.
    case reauthenticate(Selector, except: Selector?, within: Milliseconds)
    /// The decision of that event no longer stands.
    case lift(event: Identifier)
    /// Pushes JSON to matching connections. Not logged.
    case notify(Selector, except: Selector?, data: [UInt8])
    /// Closes matching connections, which may return. Not logged.
    case disconnect(Selector, except: Selector?, code: UInt16, reason: String?)

    public struct Revocation: Equatable, Sendable {
        public var select: Selector
        public var except: Selector?
        public var issuedBefore: IssuedBefore
        public var expires: WallTime?

        public init(select: Selector, except: Selector? = nil, issuedBefore: IssuedBefore, expires: WallTime? = nil) {
            self.select = select
            self.except = except
            self.issuedBefore = issuedBefore
            self.expires = expires
        }
    }

    /// Which credentials a revocation covers, by their time of issue.
    public enum IssuedBefore: Equatable, Sendable {
        /// Those issued up to the moment at which Redis appended the event.
        case append
        case time(WallTime)
        /// All, also those issued later.
        case never
    }

    public struct Permit: Equatable, Sendable {
        public var user: Identifier
        public var resource: Identifier
        public var role: Role?
        /// The place of this change among those of the same user and resource; nil: the next.
        public var version: Int64?

        public init(user: Identifier, resource: Identifier, role: Role?, version: Int64?) {
            self.user = user
            self.resource = resource
            self.role = role
            self.version = version
        }
    }

    /// The name of the type in an event, and the label of its metric.
    public var type: String {
        switch self {
        case .revoke: "revoke"
        case .block: "block"
        case .unblock: "unblock"
        case .permit: "permit"
        case .reauthenticate: "reauthenticate"
        case .lift: "lift"
        case .notify: "notify"
        case .disconnect: "disconnect"
        }
    }

    /// Whether it goes into the log: it must outlive a message that nobody heard.
    public var isLogged: Bool {
        switch self {
        case .notify, .disconnect: false
        default: true
        }
    }

    /// Whether it may come without an event id: it commutes with its own repetition.
    public var mayLackID: Bool {
        switch self {
        case .revoke, .notify, .disconnect: true
        default: false
        }
    }
}

/// A decision with what an event says about it.
public struct Event: Equatable, Sendable {
    /// The event's own id; nil where it was published bare without one.
    public var id: Identifier?
    public var decision: Decision
    public var at: WallTime?
    public var actor: String?
    public var reason: String?
    /// A sentence for the person whose connection is closed.
    public var message: String?
    /// Whether somebody waits for receipts.
    public var wantsReceipt: Bool

    public init(
        id: Identifier?,
        decision: Decision,
        at: WallTime? = nil,
        actor: String? = nil,
        reason: String? = nil,
        message: String? = nil,
        wantsReceipt: Bool = false
    ) {
        self.id = id
        self.decision = decision
        self.at = at
        self.actor = actor
        self.reason = reason
        self.message = message
        self.wantsReceipt = wantsReceipt
    }
}

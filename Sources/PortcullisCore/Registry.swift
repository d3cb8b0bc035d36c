/// The connections of one loop: whom each belongs to, found by user, session, token or slot.
///
/// A connection is entered as *pending* before its credential is checked, so that a decision which arrives meanwhile finds it; it
/// becomes *live* when the check is through, *condemned* when it is to be closed, and leaves by ``remove(_:)`` alone.
public struct Registry: ~Copyable, Sendable {
    public enum State: UInt8, Sendable {
        case pending
        case live
        case condemned
    }

    private struct Entry {
        var identity: Identity?
        /// When the credential was shown: by the wall clock, or Redis' where that is earlier.
        var presented = WallTime(milliseconds: 0)
        var state = State.pending
    }

    private var entries: [Entry] = []
    private var users = SlotIndex()
    private var sessions = SlotIndex()
    private var tokens = SlotIndex()
    /// How many connections are entered, in any state.
    public private(set) var count = 0

    /// How many users, sessions and tokens have connections.
    public var keyCount: Int {
        users.keys + sessions.keys + tokens.keys
    }

    public init() {}

    // MARK: - The life of an entry

    /// Enters a connection as pending under all keys of its identity. A slot that is taken is refused.
    public mutating func register(_ slot: UInt32, _ identity: Identity, presented: WallTime) -> Bool {
        while entries.count <= Int(slot) { entries.append(Entry()) }
        guard entries[Int(slot)].identity == nil else { return false }
        entries[Int(slot)] = Entry(identity: identity, presented: presented, state: .pending)
        count += 1
        let all = entries
        users.insert(slot, hash: identity.hash(.user)) { Self.same(all, $0, .user, identity) }
        enter(slot, identity, .session)
        enter(slot, identity, .token)
        return true
    }

    private static func same(
        _ entries: [Entry],
        _ slot: UInt32,
        _ field: Identity.Field,
        _ identity: Identity
    ) -> Bool {
        entries[Int(slot)].identity?.matches(field, identity) ?? false
    }

    /// Makes a pending connection live; false where it is not pending any more.
    public mutating func admit(_ slot: UInt32) -> Bool {
        guard state(slot) == .pending else { return false }
        entries[Int(slot)].state = .live
        return true
    }

    /// Marks a connection that is to be closed; false where it is marked already or not entered.
    public mutating func condemn(_ slot: UInt32) -> Bool {
        guard let state = state(slot), state != .condemned else { return false }
        entries[Int(slot)].state = .condemned
        return true
    }

    /// Takes over what a credential says anew, or another credential of the same user: from here on the connection is found by the ids of
    /// that one, and no more by those of the one before.
    ///
    /// - Parameter presented: when another credential was shown; nil: the one that was shown at the handshake says something new.
    /// - Returns: false where the user is another or nobody is entered: then nothing happens.
    @discardableResult
    public mutating func update(_ slot: UInt32, _ identity: Identity, presented: WallTime? = nil) -> Bool {
        guard let old = self.identity(slot), old.matches(.user, identity) else { return false }
        let (movesSession, movesToken) = (!old.matches(.session, identity), !old.matches(.token, identity))
        if movesSession, old.has(.session) { sessions.remove(slot) }
        if movesToken, old.has(.token) { tokens.remove(slot) }
        entries[Int(slot)].identity = identity
        if let presented { entries[Int(slot)].presented = presented }
        if movesSession { enter(slot, identity, .session) }
        if movesToken { enter(slot, identity, .token) }
        return true
    }

    /// Puts a connection into the index of its session or token, where it has one.
    private mutating func enter(_ slot: UInt32, _ identity: Identity, _ field: Identity.Field) {
        guard identity.has(field) else { return }
        let all = entries
        let isSame = { (other: UInt32) in Self.same(all, other, field, identity) }
        if field == .session {
            sessions.insert(slot, hash: identity.hash(field), isKey: isSame)
        } else {
            tokens.insert(slot, hash: identity.hash(field), isKey: isSame)
        }
    }

    /// The one place where a connection leaves.
    public mutating func remove(_ slot: UInt32) {
        guard Int(slot) < entries.count, let identity = entries[Int(slot)].identity else { return }
        users.remove(slot)
        if identity.has(.session) { sessions.remove(slot) }
        if identity.has(.token) { tokens.remove(slot) }
        entries[Int(slot)] = Entry()
        count -= 1
    }

    /// Gives up the room of slots at the end where nobody is entered.
    public mutating func shrink() {
        guard entries.shrink(whileLast: { $0.identity == nil }) else { return }
        users.shrink(to: entries.count)
        sessions.shrink(to: entries.count)
        tokens.shrink(to: entries.count)
    }

    /// For how many slots there is room.
    public var capacity: Int {
        entries.capacity
    }

    // MARK: - Asking

    public func state(_ slot: UInt32) -> State? {
        guard Int(slot) < entries.count, entries[Int(slot)].identity != nil else { return nil }
        return entries[Int(slot)].state
    }

    public func identity(_ slot: UInt32) -> Identity? {
        Int(slot) < entries.count ? entries[Int(slot)].identity : nil
    }

    /// When the connection's credential was shown: at its handshake, or where it was replaced by another.
    public func presented(_ slot: UInt32) -> WallTime? {
        identity(slot) == nil ? nil : entries[Int(slot)].presented
    }

    /// Calls back for every connection that could match: those of the narrowest id in the selector, else all.
    public func forEachCandidate(_ select: Selector, _ body: (UInt32, Identity) -> Void) {
        for field in [Identity.Field.token, .session, .user] {
            guard let id = select.ids[field] else { continue }
            forEach(field, id, body)
            return
        }
        for slot in entries.indices {
            if let identity = entries[slot].identity { body(UInt32(slot), identity) }
        }
    }

    /// Calls back for every connection of a user, session or token.
    public func forEach(_ field: Identity.Field, _ id: Identifier, _ body: (UInt32, Identity) -> Void) {
        let index: SlotIndex
        switch field {
        case .token: index = tokens
        case .session: index = sessions
        default: index = users
        }
        var next = index.first(id.hashValue) { entries[Int($0)].identity?.matches(field, id) ?? false }
        while let slot = next {
            next = index.next(slot)
            if let identity = entries[Int(slot)].identity { body(slot, identity) }
        }
    }

    /// Whether a user has any connection here.
    public func hasConnections(of user: Identifier) -> Bool {
        users.first(user.hashValue) { entries[Int($0)].identity?.matches(.user, user) ?? false } != nil
    }

    /// Whether the user of an identity has any connection here.
    public func hasConnections(ofUserOf identity: Identity) -> Bool {
        users.first(identity.hash(.user)) { entries[Int($0)].identity?.matches(.user, identity) ?? false } != nil
    }
}

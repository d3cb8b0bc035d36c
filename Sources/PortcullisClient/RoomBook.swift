/// Which resources a session is in, or wants to be, and what was asked for them. Pure: an event in, actions out.
///
/// Whatever the gate sends, in whatever order, has an action or none: answers to a `ref` that was never given, or of an earlier
/// connection, change nothing.
struct RoomBook: Sendable {
    /// A call that waits for an answer.
    typealias Call = UInt64

    enum Answer: Equatable, Sendable {
        case done
        case failed(GateFailure)
    }

    enum Action: Equatable, Sendable {
        case send(ClientMessage)
        case deliver(resource: String, Room.Event)
        case resolve(Call, Answer)
        /// The room is over: nothing follows.
        case end(resource: String)
        /// Call ``joinDue(_:attempt:)`` after a backoff.
        case joinLater(resource: String, attempt: Int)
    }

    private enum Phase: Equatable {
        /// There is no connection, or its welcome has not come.
        case away
        case asking(ref: RawJSON, attempt: Int)
        case delayed(attempt: Int)
        case member
        case leaving(ref: RawJSON, Call?)
    }

    private struct Entry {
        var phase = Phase.away
        var isBound = false
        /// Somebody has a ``Room`` of it, or waits for one: its messages go there.
        var isOpen = false
        /// It has stood once: a new beginning is a gap.
        var wasMember = false
        var role: String?
        /// Who is there; nil: that is not known.
        var members: [String]?
        /// The `join` that asks who is there, where the membership stands already.
        var question: RawJSON?
        var joiners: [Call] = []
    }

    /// How many publishes are remembered, the newest, to say which room an `error` belongs to.
    static let maximumPublishes = 1024

    private var entries: [String: Entry] = [:]
    private var publishes: [RawJSON: String] = [:]
    private var publishOrder: [RawJSON] = []
    private var isConnected = false
    private var lastRef: UInt64 = 0

    /// - Parameter bound: the resource that the session's connections are bound to.
    init(bound: String?) {
        if let bound { entries[bound] = Entry(isBound: true) }
    }

    /// Whether the messages of a resource go to a room and not to the session.
    func isOpen(_ resource: String) -> Bool {
        entries[resource]?.isOpen ?? false
    }

    func isMember(_ resource: String) -> Bool {
        switch entries[resource]?.phase {
        case .member, .leaving: true
        default: false
        }
    }

    func role(on resource: String) -> String? {
        entries[resource]?.role
    }

    func members(of resource: String) -> [String]? {
        entries[resource]?.members
    }

    // MARK: What the application wants

    mutating func join(_ resource: String, call: Call) -> [Action] {
        var entry = entries[resource] ?? Entry()
        let wasOpen = entry.isOpen
        entry.isOpen = true
        if entry.phase == .member {
            entries[resource] = entry
            // The welcome of a bound connection does not say who is there.
            return (wasOpen ? [] : askMembers(resource)) + [.resolve(call, .done)]
        }
        entry.joiners.append(call)
        let mustAsk = entry.phase == .away && isConnected && !entry.isBound
        entries[resource] = entry
        return mustAsk ? ask(resource, attempt: 0) : []
    }

    mutating func leave(_ resource: String, call: Call) -> [Action] {
        guard let entry = entries[resource], entry.isOpen else { return [.resolve(call, .done)] }
        guard entry.phase == .member else {
            // Nobody is told of a membership that does not stand; one that is being asked for is given back.
            let asked: [Action] = if case .asking = entry.phase { [.send(.leave(resource: resource))] } else { [] }
            return asked + forget(resource, .failed(.cancelled)) + [.resolve(call, .done)]
        }
        let ref = makeRef()
        entries[resource]?.phase = .leaving(ref: ref, call)
        return [.send(.leave(resource: resource, ref: ref))]
    }

    /// The `ref` that a publish is sent with.
    mutating func publish(on resource: String) -> RawJSON? {
        guard isMember(resource) else { return nil }
        let ref = makeRef()
        publishes[ref] = resource
        publishOrder.append(ref)
        if publishOrder.count >= 2 * Self.maximumPublishes {
            for old in publishOrder.prefix(Self.maximumPublishes) { publishes[old] = nil }
            publishOrder.removeFirst(Self.maximumPublishes)
        }
        return ref
    }

    /// Nobody waits for the answer any more.
    mutating func abandon(_ call: Call) -> [Action] {
        for (resource, entry) in entries {
            if case .leaving(_, call) = entry.phase { return forget(resource, .failed(.closed)) }
            guard entry.joiners.contains(call) else { continue }
            let joiners = entry.joiners.filter { $0 != call }
            entries[resource]?.joiners = joiners
            guard joiners.isEmpty, !entry.wasMember, entry.phase != .member else { return [] }
            guard !entry.isBound else {
                entries[resource]?.isOpen = false
                return []
            }
            let asked: [Action] = if case .asking = entry.phase { [.send(.leave(resource: resource))] } else { [] }
            return asked + forget(resource, .failed(.cancelled))
        }
        return []
    }

    // MARK: The connection

    mutating func connected(_ welcome: Welcome?) -> [Action] {
        isConnected = true
        var actions: [Action] = []
        if let resource = welcome?.resource {
            entries[resource, default: Entry()].isBound = true
            let own = Membership(resource: resource, role: welcome?.role)
            actions += begin(own)
        }
        for resource in entries.keys.sorted() where entries[resource]?.phase == .away {
            if entries[resource]?.isBound == false { actions += ask(resource, attempt: 0) }
        }
        return actions
    }

    mutating func disconnected() -> [Action] {
        isConnected = false
        publishes = [:]
        publishOrder = []
        var actions: [Action] = []
        for resource in entries.keys.sorted() {
            guard let entry = entries[resource] else { continue }
            if case .leaving = entry.phase {
                // The membership ended with the connection.
                actions += forget(resource, .failed(.closed))
                continue
            }
            entries[resource]?.phase = .away
            entries[resource]?.members = nil
            entries[resource]?.question = nil
            if entry.phase == .member, entry.isOpen {
                actions.append(.deliver(resource: resource, .disconnected))
            }
        }
        return actions
    }

    /// The session is over.
    mutating func closed() -> [Action] {
        let failure = GateFailure.closed
        return disconnected() + entries.keys.sorted().flatMap { forget($0, .failed(failure)) }
    }

    mutating func joinDue(_ resource: String, attempt: Int) -> [Action] {
        guard isConnected, entries[resource]?.phase == .delayed(attempt: attempt) else { return [] }
        return ask(resource, attempt: attempt)
    }

    // MARK: What the gate says

    mutating func received(_ message: ServerMessage) -> [Action] {
        switch message {
        case .message(let relayed): return deliver(relayed.resource, .message(relayed))
        case .missed(let resource):
            // Who came and who went may be missing, too.
            let isKept = entries[resource]?.members != nil && isMember(resource)
            return deliver(resource, .missed) + (isKept ? askMembers(resource) : [])
        case .permission(let change):
            guard entries[change.resource] != nil else { return [] }
            entries[change.resource]?.role = change.to
            return deliver(change.resource, .permission(change))
        case .joined(let membership):
            guard let user = membership.user else { return begin(membership) }
            if entries[membership.resource]?.members?.contains(user) == false {
                entries[membership.resource]?.members?.append(user)
            }
            return deliver(membership.resource, .joined(membership))
        case .left(let membership):
            guard let user = membership.user else { return leftReceived(membership) }
            entries[membership.resource]?.members?.removeAll { $0 == user }
            return deliver(membership.resource, .left(membership))
        case .error(let error):
            return errorReceived(error)
        default:
            return []
        }
    }

    private func deliver(_ resource: String, _ event: Room.Event) -> [Action] {
        isOpen(resource) ? [.deliver(resource: resource, event)] : []
    }

    /// Our own membership stands.
    private mutating func begin(_ membership: Membership) -> [Action] {
        let resource = membership.resource
        guard var entry = entries[resource] else { return [] }
        switch entry.phase {
        case .asking(let ref, _):
            if let answered = membership.ref, answered != ref { return [] }
        case .away: guard entry.isBound else { return [] }
        case .member: return membersReceived(membership, entry)
        case .delayed, .leaving: return []
        }
        let isAgain = entry.wasMember
        let joiners = entry.joiners
        entry.phase = .member
        entry.wasMember = true
        entry.role = membership.role
        entry.members = membership.users
        entry.joiners = []
        entries[resource] = entry
        let question = entry.isBound && entry.isOpen ? askMembers(resource) : []
        // What was said in between is lost.
        let gap = isAgain ? deliver(resource, .missed) : []
        return deliver(resource, .joined(membership)) + gap + question + joiners.map { .resolve($0, .done) }
    }

    /// Asks who is in a room that one is in.
    private mutating func askMembers(_ resource: String) -> [Action] {
        let ref = makeRef()
        entries[resource]?.question = ref
        return [.send(.join(resource: resource, ref: ref))]
    }

    /// The gate has said who is there, or that it does not know.
    private mutating func membersReceived(_ membership: Membership, _ entry: Entry) -> [Action] {
        guard let question = entry.question, membership.ref == question else { return [] }
        let resource = membership.resource
        entries[resource]?.question = nil
        entries[resource]?.members = membership.users
        if let role = membership.role { entries[resource]?.role = role }
        return membership.users == nil ? [] : deliver(resource, .joined(membership))
    }

    private mutating func leftReceived(_ membership: Membership) -> [Action] {
        guard let entry = entries[membership.resource] else { return [] }
        switch entry.phase {
        case .member:
            return deliver(membership.resource, .left(membership)) + forget(membership.resource, .done)
        case .leaving(let ref, _):
            if let answered = membership.ref, answered != ref { return [] }
            return over(membership)
        case .away, .asking, .delayed:
            return []
        }
    }

    /// We have left; whoever wanted to join meanwhile begins anew.
    private mutating func over(_ membership: Membership) -> [Action] {
        let resource = membership.resource
        let joiners = entries[resource]?.joiners ?? []
        entries[resource]?.joiners = []
        var actions = deliver(resource, .left(membership)) + forget(resource, .done)
        for joiner in joiners { actions += join(resource, call: joiner) }
        return actions
    }

    private mutating func errorReceived(_ error: MessageError) -> [Action] {
        guard let ref = error.ref else { return [] }
        if let resource = publishes.removeValue(forKey: ref) { return deliver(resource, .refused(error)) }
        for (resource, entry) in entries {
            switch entry.phase {
            case .asking(ref, let attempt): return joinRefused(resource, entry, error, attempt: attempt)
            case .leaving(ref, let call):
                if error.code == "not_a_member" { return over(Membership(resource: resource)) }
                entries[resource]?.phase = .member
                let joiners = entry.joiners
                entries[resource]?.joiners = []
                let failed: [Action] = call.map { [.resolve($0, .failed(.rejected(error)))] } ?? []
                return failed + joiners.map { .resolve($0, .done) }
            default: continue
            }
        }
        return []
    }

    private mutating func joinRefused(
        _ resource: String,
        _ entry: Entry,
        _ error: MessageError,
        attempt: Int
    ) -> [Action] {
        guard entry.wasMember else { return forget(resource, .failed(.rejected(error))) }
        if ["unavailable", "rate_limited"].contains(error.code) {
            // It passes: whoever had the room did nothing to lose it.
            entries[resource]?.phase = .delayed(attempt: attempt + 1)
            return [.joinLater(resource: resource, attempt: attempt + 1)]
        }
        return deliver(resource, .refused(error)) + forget(resource, .failed(.rejected(error)))
    }

    // MARK: Parts

    private mutating func ask(_ resource: String, attempt: Int) -> [Action] {
        let ref = makeRef()
        entries[resource]?.phase = .asking(ref: ref, attempt: attempt)
        return [.send(.join(resource: resource, ref: ref))]
    }

    private mutating func forget(_ resource: String, _ answer: Answer) -> [Action] {
        guard let entry = entries.removeValue(forKey: resource) else { return [] }
        var answers = entry.joiners.map { Action.resolve($0, answer) }
        // However it ended: whoever wanted to leave has left.
        if case .leaving(_, let call?) = entry.phase { answers.append(.resolve(call, .done)) }
        return answers + (entry.isOpen ? [.end(resource: resource)] : [])
    }

    /// Unlike what an application would choose for messages of its own.
    private mutating func makeRef() -> RawJSON {
        lastRef &+= 1
        return RawJSON(string: "portcullis-\(lastRef)")
    }
}

import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisWire

/// The gate's two links to Redis, on the first loop: one for commands, one subscribed. What it learns goes into the replica first, then
/// to the loops by their mailboxes.
final class Uplink {
    /// What an answer on the command link is for.
    enum Ask {
        case nothing
        case tracking
        case session(SessionRead, StreamID, loop: Int)
        case watchedSession(SessionRead)
        case firstSeen(StreamID, loop: Int)
        case touch
        case token(StreamID, loop: Int)
        case refresh(StreamID, loop: Int)
        case permission(StreamID, loop: Int)
        case ticket(StreamID, loop: Int)
        case membership(Identifier, StreamID, loop: Int)
        case published(Relayed, bytes: Int, returning: Int)
        case place(StreamID, loop: Int)
        case placeChange(PlaceChange)
        case presence(PresenceChange)
        case standing
        case epoch
        case page
        case adoption(Adoption)
        case restored(LoggedEvent)
        case heartbeat(sentAt: BootTime)
        case replication
        case replicas
        case probe
        case goodbye
    }

    typealias Kind = VouchMachine.Link

    /// One of the two links: its life, its socket, its parser.
    struct Link {
        var machine = LinkMachine()
        var stream: StreamID?
        var reader: RESPReader?
        /// Whether a loss has been told that no success has followed.
        var lossWasTold = false
    }

    // The loop owns the uplink and outlives it.
    unowned let loop: GateLoop
    let shared: GateShared
    let configuration: GateConfiguration
    let keys: Keys
    /// nil where sessions are off.
    let sessions: SessionRules?

    var command = Link()
    var subscription = Link()
    var pending = PendingCommands<Ask>()
    /// Channels whose subscription is acknowledged.
    var subscribed = 0
    var subscriberID: Int64?

    // The log (Following.swift).
    var machine: VouchMachine
    /// The epoch that was read in front of a page.
    var epoch: [UInt8]?
    /// Published events that wait to be put into the log.
    var adoptions: [Adoption] = []
    /// Decisions that the log lacks and this gate holds.
    var restoring: [LoggedEvent] = []
    /// The search for them that is under way.
    var search: Search?
    private var isLookingUp: Set<Kind> = []

    // Which Redis that is, and its replicas (Uplink+Primary.swift).
    /// nil where the address is configured.
    private(set) var sentinels: SentinelWatch?
    var knowsReplication = false
    /// Whether something was appended that replicas should have.
    var owesWait = false
    var isWaitingForReplicas = false
    /// Whether a majority of the sentinels named this primary when the view was confirmed last; true where there are none.
    var isPrimaryNamed = true
    /// Whether the channel brings everything again, and the loops have not been told for want of a majority.
    var awaitsMajority = false

    // Probe, heartbeat, receipts, queries (Duties.swift).
    var nextHeartbeat = BootTime(nanoseconds: 0)
    var nextStatus = BootTime(nanoseconds: 0)
    var lastProbe: Milliseconds?
    var serial: UInt64 = 0
    /// Of the next probe. Random numbers come from the kernel: one for each turn would be a call for each turn.
    var nextNonce = UInt64.random(in: .min ... .max)
    /// The key that a probe sets.
    let probeKey: [UInt8]
    var receipts: [UInt64: (count: Int, sum: Enforced)] = [:]
    var queries: [String: (parts: [QueryPart], asked: BootTime)] = [:]
    var unknownEvents = 0
    var drainedLoops = 0
    var goodbye: BootTime?
    var hasSaidGoodbye = false

    /// Sessions whose reading failed: since when it does, and which of them are to be read again with this heartbeat.
    var sessionsFailing: [Identifier: BootTime] = [:]
    var sessionsToRead: [Identifier] = []

    /// Places of connections that are to be given back or taken again, in order (UserCap.swift).
    var placeChanges: [PlaceChange] = []
    var hasHeard = false

    /// The ids behind keys that hold only their hash (`sessions.key`).
    var sessionKeys: SessionKeyBook
    /// Sessions that need not be read for each handshake.
    var knownSessions: KnownSessions

    /// Rooms (Uplink+Rooms.swift).
    var rooms: RoomDesk
    /// Who is in them (Uplink+Presence.swift).
    var presence = PresenceDesk()

    /// Whether it was told on this link that sessions can't be renewed.
    var hasToldOfTouch = false

    /// Kept, so that a million entries are read without making one for each.
    var eventParser = StrictJSON(maximumDepth: 32)
    /// What events are signed with; nil where they need no signature.
    let eventKey: EventKey?

    static let channelCount = 3
    static let mostSessionsFailing = 100_000
    /// Questions of handshakes that may wait for Redis: what is more is refused, and comes again.
    static let mostQuestions = 50_000

    init(_ loop: GateLoop) {
        self.loop = loop
        shared = loop.shared
        configuration = loop.configuration
        keys = configuration.keys
        probeKey = Array(configuration.keys.probe(configuration.node).utf8)
        eventKey = configuration.eventKey.map { EventKey($0) }
        machine = VouchMachine(VouchTerms(lease: configuration.lease))
        rooms = RoomDesk(configuration)
        // Twice what can be held: to forget all of them costs a read of each that is held, once in as many handshakes.
        sessions = loop.sessions
        let sweep = loop.sessions?.sweep ?? configuration.lease
        knownSessions = KnownSessions(.init(age: sweep, proof: configuration.lease))
        sessionKeys = SessionKeyBook(capacity: configuration.connections.multipliedClamped(by: 2))
        if case .sentinels(let addresses, let name) = configuration.redis.place {
            sentinels = SentinelWatch(self, addresses, name: name, lease: configuration.lease)
        }
    }

    var now: BootTime { loop.now }

    // MARK: - Links

    func turnEnded() {
        sentinels?.turnEnded()
        let canConnect = sentinels?.knowsPrimary ?? true
        if canConnect, !isReady(.command) { tend(.command) }
        if canConnect, !isReady(.subscription) { tend(.subscription) }
        performDuties()
        writePlaceChanges()
        writePresence()
        waitForReplicas()
        tendRooms()
        flush()
    }

    private func tend(_ kind: Kind) {
        let action = self[kind].machine.timePassed(now: now.nanoseconds, random: .random(in: 0..<1))
        act(action, kind)
    }

    /// All commands of a turn in one write.
    func flush() {
        guard command.machine.isReady, let stream = command.stream else { return }
        let bytes = pending.takeOutput()
        if !bytes.isEmpty { loop.engine.send(stream, bytes) }
    }

    private subscript(kind: Kind) -> Link {
        get { kind == .command ? command : subscription }
        set { if kind == .command { command = newValue } else { subscription = newValue } }
    }

    // What is asked for each reply, without a copy of the link.
    private func isReady(_ kind: Kind) -> Bool {
        kind == .command ? command.machine.isReady : subscription.machine.isReady
    }

    private func stream(_ kind: Kind) -> StreamID? {
        kind == .command ? command.stream : subscription.stream
    }

    private func kind(of stream: StreamID) -> Kind? {
        if command.stream == stream { return .command }
        return subscription.stream == stream ? .subscription : nil
    }

    private func act(_ action: LinkMachine.Action, _ kind: Kind) {
        switch action {
        case .nothing: break
        case .connect: connect(kind)
        case .greet:
            var bytes: [UInt8] = []
            for command in configuration.redis.greeting { command.encode(into: &bytes) }
            if let stream = self[kind].stream { loop.engine.send(stream, bytes) }
        case .becomeReady: ready(kind)
        case .drop(let reason): dropped(kind, reason)
        }
    }

    private func connect(_ kind: Kind) {
        switch configuration.redis.place {
        case .path(let path): connect(kind, [.unix(path: path)])
        case .host(let host, let port): connect(kind, to: RedisAddress(host: host, port: port))
        case .sentinels: connectToPrimary(kind)
        }
    }

    func connect(_ kind: Kind, to address: RedisAddress) {
        if IPAddress(address.host) != nil {
            connect(kind, [.tcp(address: address.host, port: address.port)])
        } else {
            lookUp(address.host, address.port, kind)
        }
    }

    /// How the link is secured; nil: not at all.
    private func security() throws(TLSFailure) -> TLSClient? {
        switch configuration.redis.place {
        case .path: nil
        case .host(let host, _): try configuration.redis.security(of: host)
        case .sentinels:
            try sentinels?.following.flatMap { address throws(TLSFailure) in
                try configuration.redis.security(of: address.host)
            }
        }
    }

    /// The resolver may take seconds: it is asked on a thread of its own, which ends with its answer.
    private func lookUp(_ host: String, _ port: UInt16, _ kind: Kind) {
        guard isLookingUp.insert(kind).inserted else { return }
        let mailbox = loop.mailbox
        do throws(SocketError) {
            try LoopThread.detached("resolve") {
                do throws(SocketError) {
                    mailbox.post(.resolved(try Endpoint.resolve(host: host, port: port), kind, failure: nil))
                } catch {
                    mailbox.post(.resolved([], kind, failure: "\(error)"))
                }
            }
        } catch {
            isLookingUp.remove(kind)
            lost(kind, "\(error)")
        }
    }

    func resolved(_ endpoints: [Endpoint], _ kind: Kind, _ failure: String?) {
        isLookingUp.remove(kind)
        guard case .connecting = self[kind].machine.state, self[kind].stream == nil else { return }
        if let failure { lost(kind, failure) } else { connect(kind, endpoints) }
    }

    private func connect(_ kind: Kind, _ endpoints: [Endpoint]) {
        guard !endpoints.isEmpty else { return lost(kind, "the host has no address") }
        guard let reader = RESPReader() else { return lost(kind, "memory has run out") }
        do {
            let endpoint = endpoints[self[kind].machine.failures % endpoints.count]
            self[kind].stream = try loop.engine.connect(to: endpoint, securedBy: try security())
            self[kind].reader = reader
        } catch let failure as TLSFailure {
            lost(kind, failure.redisSentence)
        } catch {
            lost(kind, "\(error)")
        }
    }

    func connected(_ stream: StreamID) {
        if sentinels?.connected(stream) == true { return }
        guard let kind = kind(of: stream) else { return loop.engine.close(stream) }
        let count = configuration.redis.greeting.count
        act(self[kind].machine.connected(greeting: count, now: now.nanoseconds), kind)
    }

    func received(_ stream: StreamID, _ bytes: Span<UInt8>) {
        if sentinels?.received(stream, bytes) == true { return }
        guard let kind = kind(of: stream), let reader = self[kind].reader else { return }
        do throws(RESPError) {
            try reader.feed(bytes)
            while self.stream(kind) == stream, let reply = try reader.nextReply() { take(reply, kind) }
        } catch {
            lost(kind, error.description)
        }
    }

    private func take(_ reply: RESPReply, _ kind: Kind) {
        guard isReady(kind) else {
            let action = self[kind].machine.greeted(reply.value, now: now.nanoseconds, random: .random(in: 0..<1))
            return act(action, kind)
        }
        switch kind {
        case .command:
            // An answer that answers no question: the link is out of step.
            guard let ask = pending.answered() else { return lost(kind, "Redis answered what was not asked.") }
            switch ask {
            case .standing: standingRead(reply)
            case .page: pageRead(reply)
            // Untracked sessions would outlive their end.
            case .tracking: if let error = reply.errorText { lost(.command, LinkMachine.sentence(error)) }
            case .session(let read, let stream, let loop): sessionRead(read, reply, stream, loop: loop)
            case .watchedSession(let read): watchedSessionRead(read, reply)
            default: answered(ask, reply.value)
            }
        case .subscription:
            let value = reply.value
            if subscriberID == nil, let id = value.integer {
                subscriberID = id
                return
            }
            if let error = value.errorText { return lost(kind, LinkMachine.sentence(error)) }
            guard let push = Push(value) else { return lost(kind, "Redis pushed what is no message: \(value.kind).") }
            pushed(push)
        }
    }

    func gone(_ stream: StreamID, _ reason: Gone) {
        if sentinels?.gone(stream, reason) == true { return }
        guard let kind = kind(of: stream), reason != .closed else { return }
        lost(kind, reason.redisSentence)
    }

    func lost(_ kind: Kind, _ reason: String) {
        act(self[kind].machine.lost(reason, now: now.nanoseconds, random: .random(in: 0..<1)), kind)
    }

    private func dropped(_ kind: Kind, _ reason: String) {
        if let stream = self[kind].stream { loop.engine.close(stream) }
        self[kind].stream = nil
        self[kind].reader = nil
        if !self[kind].lossWasTold {
            self[kind].lossWasTold = true
            shared.report(.redisLost(reason))
        }
        switch kind {
        case .command:
            isWaitingForReplicas = false
            knownSessions.linkLost()
            // They are read anew when the link stands, as all are.
            sessionsFailing = [:]
            sessionsToRead = []
            let later = placeChanges
            placeChanges = []
            let asks = pending.abandon()
            for ask in asks { abandon(ask) }
            placeChanges += later
            abandonPresence(asks.compactMap { if case .presence(let change) = $0 { change } else { nil } })
            perform(machine.commandLost(reason))
        case .subscription:
            subscribed = 0
            subscriberID = nil
            knownSessions.forgetAll(isTracking: false)
            perform(machine.subscriptionLost(reason))
            roomsLost()
        }
    }

    func abandon(_ ask: Ask) {
        switch ask {
        case .session(_, let stream, let loop), .firstSeen(let stream, let loop), .token(let stream, let loop),
            .permission(let stream, let loop), .ticket(let stream, let loop), .place(let stream, let loop):
            tell(loop, .answered(stream, .unavailable("Redis could not be asked to the end")))
        case .membership(let resource, let stream, let loop):
            membershipRead(resource, stream, loop, .unavailable("Redis could not be asked to the end"))
        case .published(let relayed, let bytes, _): abandonPublished(relayed, bytes: bytes)
        case .refresh(let stream, let loop):
            tell(loop, .refreshAnswered(stream, .unavailable("Redis could not be asked to the end")))
        case .placeChange(let change): placeChanges.append(change)
        case .goodbye: hasSaidGoodbye = true
        case .adoption(let adoption): keep(adoption)
        case .restored(let copy): restoring.append(copy)
        default: break
        }
    }

    private func ready(_ kind: Kind) {
        self[kind].lossWasTold = false
        hasToldOfTouch = false
        if kind == .subscription, let stream = subscription.stream {
            var bytes: [UInt8] = []
            Command("CLIENT", "ID").encode(into: &bytes)
            Command("SUBSCRIBE", "__redis__:invalidate", keys.control(configuration.node), keys.events)
                .encode(into: &bytes)
            loop.engine.send(stream, bytes)
            subscribeRooms()
            perform(machine.subscriptionAsked(now: now))
        }
        if kind == .command {
            perform(machine.commandReady(now: now, random: .random(in: .min ... .max)))
            appendWaiting()
            publishMissed()
        }
    }

    func tell(_ loop: Int, _ message: LoopMessage) {
        guard loop != self.loop.index else { return self.loop.keep(message) }
        guard shared.mailboxes.indices.contains(loop) else { return }
        shared.mailboxes[loop].post(message)
    }

    // MARK: - Questions of handshakes

    func ask(_ question: Question, _ stream: StreamID, loop: Int) {
        guard command.machine.isReady else {
            return tell(loop, question.answered(stream, .unavailable("Redis is not connected")))
        }
        guard pending.count < Self.mostQuestions else {
            return tell(loop, question.answered(stream, .unavailable("too many questions wait for Redis")))
        }
        switch question {
        case .session(let id):
            if let known = knownSessions.find(id, now: now, wall: self.loop.wall) {
                return tell(loop, .answered(stream, .session(known.state, asOf: known.readAt)))
            }
            readSession(id) { .session($0, stream, loop: loop) }
        case .permission(let user, let resource):
            let key = keys.permissions(of: user)
            pending.append(Command([Array("HGET".utf8), key, resource.bytes]), .permission(stream, loop: loop))
        case .firstSeen(let session, let left):
            guard let policy = sessions else { return }
            let command = Scripts.firstSeen(key: keys.first(session), left: left, longest: policy.longestLife)
            pending.append(command, .firstSeen(stream, loop: loop))
        case .token(let check):
            pending.append(check.command(keys), .token(stream, loop: loop))
        case .refresh(let check):
            pending.append(check.command(keys), .refresh(stream, loop: loop))
        case .place(let user, let connection, let cap): askPlace(user, connection, cap, stream, loop: loop)
        case .ticket(let ticket):
            pending.append(Command([Array("GETDEL".utf8), keys.ticket(ticket)]), .ticket(stream, loop: loop))
        }
    }

    private func answered(_ ask: Ask, _ value: RESPValue) {
        switch ask {
        case .nothing: break
        case .probe:
            // A replica, or a Redis that takes no writes, is none to follow.
            if let error = value.errorText {
                let isNoPrimary = error.hasPrefix("READONLY") || error.hasPrefix("NOREPLICAS")
                perform(machine.probeRefused(LinkMachine.sentence(error), isNoPrimary: isNoPrimary))
            }
        case .firstSeen(let stream, let loop): tell(loop, .answered(stream, time(value)))
        case .touch: touched(value)
        case .token(let stream, let loop): tell(loop, .answered(stream, check(value)))
        case .refresh(let stream, let loop): tell(loop, .refreshAnswered(stream, check(value)))
        case .permission(let stream, let loop): tell(loop, .answered(stream, text(value) { .permission($0) }))
        case .ticket(let stream, let loop): tell(loop, .answered(stream, text(value) { .ticket($0) }))
        case .membership(let resource, let stream, let loop):
            membershipRead(resource, stream, loop, text(value) { .permission($0) })
        case .published(let relayed, let bytes, let returning):
            published(relayed, bytes: bytes, returning: returning, value)
        case .place(let stream, let loop): tell(loop, .answered(stream, placeRead(value)))
        case .placeChange(let change): placeChanged(change, value)
        case .presence(let change): presenceAnswered(change, value)
        case .epoch: epoch = value.bytes
        // Read as they came, by ``take(_:_:)``.
        case .standing, .page, .tracking, .session, .watchedSession: break
        case .restored(let copy): restored(copy, value)
        case .adoption(let adoption): adopted(adoption, value)
        case .heartbeat(let sentAt): heartbeatAnswered(value, sentAt: sentAt)
        case .replication: replicationRead(value)
        case .replicas: replicasCounted(value)
        case .goodbye: hasSaidGoodbye = true
        }
    }
}

/// A published event on its way into the log.
struct Adoption: Sendable {
    let event: Event
    let payload: [UInt8]
    let key: Identifier
}

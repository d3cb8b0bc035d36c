import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisTokens
import PortcullisWire
import Synchronization

/// One loop of the data plane: its connections, and all that happens to them. Everything here runs on the loop's own thread.
final class GateLoop {
    let index: Int
    let shared: GateShared
    /// As it was at the start, but for what a reload changes (``Reloadable``).
    var configuration: GateConfiguration
    let engine: Engine
    let mailbox: Mailbox<LoopMessage>
    /// Loop 0 alone holds the links to Redis.
    var uplink: Uplink?

    var verifier: TokenVerifier
    var keysInForce: KeysInForce
    var head = RequestHead()
    var json = StrictJSON(maximumDepth: 32)
    var frameReader: FrameReader
    /// For connections that nobody has vouched for yet: they may send a token, and no more.
    var firstFrameReader: FrameReader
    /// Verifies signed session cookies; nil where they are not signed.
    let cookieContext: HMACContext?
    /// nil where sessions are off.
    let sessions: SessionRules?
    /// Whom the sessions of live connections were presented by, where `sessions.bind` asks for it.
    var boundClients: [UInt32: BoundClient] = [:]
    var sessionCare: SessionCare

    var registry = Registry()
    var rooms: Rooms
    var book = PermissionBook()
    /// The subscriptions of the rooms, and who waits for them (Membership.swift).
    var roomLinks = RoomLinks()
    /// `join`s that wait, by slot.
    var joining: [UInt32: [Identifier: Joining]] = [:]
    /// Who is in rooms, over all gates (Presence.swift); nil where that is not kept.
    var presence: LoopPresence?
    /// Connections whose session says that there was no second factor.
    var unverified: Set<UInt32> = []
    var wheel: SweepWheel
    var lease: LoopLease
    /// Tokens that are to replace the credential of a live connection and that Redis is asked about, by slot: one for each at most.
    var refreshes: [UInt32: Refresh] = [:]
    /// Who must sign in anew, by slot.
    var demands: [UInt32: Demand] = [:]
    /// What is said at the thaw, by slot.
    var held: [UInt32: HeldMessages] = [:]
    var isDraining = false
    var hasEnded = false
    /// The slot from which on places are taken again (UserCap.swift); nil: none are.
    var restoresPlacesFrom: Int?
    /// Whether nobody is accepted because the gate is full (Capacity.swift).
    var isFull = false

    var lives: [Live] = []
    var crowd = Crowd()
    /// Connections that are not yet gone, whatever their phase.
    var connectionCount = 0
    /// The output of one step, used again and again.
    var output: [UInt8] = []
    /// The JSON of a message that is to stand in a frame, used again and again.
    var messageText: [UInt8] = []
    /// What is hashed for `Sec-WebSocket-Accept`; used again and again.
    var acceptInput: [UInt8] = []
    /// Whom a message goes to; used again and again.
    var receivers: [UInt32] = []

    var now: BootTime
    private(set) var wall: WallTime
    private var greatestWall = WallTime(milliseconds: 0)
    let began: BootTime
    private var mail = Backlog<LoopMessage>()
    private var due: [UInt32] = []
    /// The slot up to which a thaw has come; nil: there is none.
    var thawing: Int?
    /// Whether anybody may be held back.
    var holdsAny = false
    /// Those who are to be closed because a freeze lasts too long.
    var expelled: [StreamID] = []
    private var drainQueue: [StreamID] = []
    private var drainEnds = BootTime(nanoseconds: .max)
    private var nextDrainSlice = BootTime(nanoseconds: 0)
    /// Closes of decisions that match many, a slice a turn.
    var massCloses: [MassClose] = []
    /// What other loops have relayed and is still to be delivered.
    var relayed = Backlog<Relayed>()
    /// What clients have sent beyond their share of a turn, by slot, and in which order they go on (Unread.swift).
    var unread: [UInt32: Unread] = [:]
    var unreadOrder = Backlog<StreamID>()
    var messagesEnd: Int64 = 0
    /// Tokens that wait to be verified (Verifying.swift).
    var verifications: VerificationLine
    var pacing = Pacing()
    /// What has come of the headers that proxies send first, by slot (Proxies.swift).
    var proxyHeaders: [UInt32: [UInt8]] = [:]
    /// Decisions that have not reached everybody yet (Walking.swift), and the leases that wait for them.
    var walks: [Walk] = []
    var walksBegun: UInt64 = 0
    /// Questions that are being answered; they wait for all decisions.
    var asks: [Walk] = []
    var leasesBehind = LeasesBehind()

    /// What a turn spends on its mail, in nanoseconds, before the links are read and again behind them. The rest is kept in its order: a
    /// lease is never taken before the decisions that it covers.
    private static let mailShare: Int64 = 500_000
    /// Deadlines that are acted on in one turn; the others wait for the next, which comes at once.
    private static let deadlinesPerTurn = 512

    init(index: Int, shared: GateShared, listener: ListeningSocket?) throws(SocketError) {
        self.index = index
        self.shared = shared
        configuration = shared.configuration
        verifications = VerificationLine(share: configuration.verificationShare)
        rooms = Rooms(notesEndings: configuration.presence)
        presence = configuration.presence ? LoopPresence() : nil
        mailbox = shared.mailboxes[index]
        engine = try Engine(waker: mailbox.waker, listener: listener, tls: configuration.tls)
        // Who connects is looked at first (Proxies.swift).
        engine.securesLater = true
        engine.serve(until: .min)
        keysInForce = shared.keysAtStart
        verifier = keysInForce.verifier
        frameReader = FrameReader(.server, limits: configuration.messageLimits)
        firstFrameReader = FrameReader(.server, limits: .firstMessage(token: configuration.credentials.longestToken))
        sessions = configuration.sessions.map { SessionRules($0) }
        cookieContext = configuration.sessions?.cookieKey.map { HMACContext($0) }
        now = BootTime(nanoseconds: Clock.boot())
        wall = WallTime(milliseconds: Clock.wall())
        sessionCare = SessionCare(now: now)
        began = now
        wheel = SweepWheel(now: now)
        lease = LoopLease(
            length: configuration.lease,
            mode: configuration.mode,
            freezeLimit: configuration.freezeLimit
        )
        if index == 0 { uplink = Uplink(self) }
    }

    func run() {
        engine.run(self)
        uplink = nil
        shared.relaying[index].end()
        if index == 0 { shared.publishing.end() }
    }

    /// Whether a handshake may be judged now. The clock is read anew: no pause of the process gets past it.
    var canVouch: Bool {
        lease.mayAdmit(at: BootTime(nanoseconds: Clock.boot()))
    }

    // MARK: - Names

    func connectionID(_ slot: UInt32) -> ConnectionID {
        let serial = UInt64(lives[Int(slot)].generation) << 32 | UInt64(index & 0xFF) << 24 | UInt64(slot & 0xFFFFFF)
        return ConnectionID(instance: shared.instance, serial: serial)
    }

    func stream(_ slot: UInt32) -> StreamID {
        StreamID(slot: slot, generation: lives[Int(slot)].generation)
    }

    /// Whether a stream is the connection that now stands in its slot.
    func isCurrent(_ stream: StreamID) -> Bool {
        let slot = Int(stream.slot)
        return slot < lives.count && lives[slot].generation == stream.generation && lives[slot].phase != .vacant
    }

    // MARK: - Mail

    private func readMail() {
        mail.fill(from: mailbox)
        guard !mail.isEmpty else { return }
        let end = Clock.boot() + Self.mailShare
        while let message = mail.popFirst() {
            handle(message)
            if Clock.boot() >= end { return }
        }
    }

    /// What the uplink has to say to its own loop: as by the mailbox, behind all that came there. Nobody is woken: the mail is read in this turn
    /// or the next, which for what is said at its very end, of a link that is lost, may be a tick later.
    func keep(_ message: LoopMessage) {
        mail.fill(from: mailbox)
        mail.append(message)
    }

    private func handle(_ message: LoopMessage) {
        switch message {
        case .decided(let decided): enforce(decided)
        case .vouched(let sentAt):
            vouched(sentAt)
            // What other loops relay may stand behind it: `missed` comes first.
            lookAtLease()
        case .deaf(let deaf):
            lease.isDeaf = deaf
            if !deaf { hearsAgain() }
        case .answered(let stream, let answer): answered(stream, answer)
        case .refreshAnswered(let stream, let answer): refreshAnswered(stream, answer)
        // Decisions come first, and what they cut off is not delivered.
        case .relayed(let message): relayed.append(message)
        case .roomNews(let news): take(news)
        case .query(let query): answer(query)
        case .sessionChanged(let id, let state, let askedAt): sessionChanged(id, state, askedAt: askedAt)
        case .sessionUnproved(let id): sessionUnproved(id)
        case .sessionsProved(let at): sessionsProved(at)
        case .sessionsUncertain: readSessionsAgain()
        case .versionsLost:
            book.resetVersions()
            rooms.resetVersions()
            resetWaitingVersions()
            takePlacesAgain()
            enterAgain(quietly: true)
        case .replaced(let connection): replaced(connection)
        case .keysReplaced(let keys): replaceKeys(keys)
        case .count(let report): report(census)
        case .drain: beginDrain()
        case .ordered(let order): obey(order)
        case .asked(let question, let stream, let loop): uplink?.ask(question, stream, loop: loop)
        case .roomOrdered(let order, let loop): uplink?.obey(order, loop: loop)
        case .enforced(let enforced): uplink?.enforced(enforced)
        case .queried(let id, let part): uplink?.queried(id, part)
        case .readSession(let session): uplink?.readSession(session)
        case .touchSession(let session, let least): uplink?.touchSession(session, least: least)
        case .placeChanged(let change): uplink?.placeChanges.append(change)
        case .drained(let loop): uplink?.loopDrained(loop)
        case .resolved(let endpoints, let kind, let failure): uplink?.resolved(endpoints, kind, failure)
        case .sentinelResolved(let endpoints, let index, let failure):
            uplink?.sentinels?.resolved(endpoints, index, failure)
        }
    }

    /// Asks Redis, through the loop that holds the links.
    func ask(_ question: Question, _ stream: StreamID) {
        if let uplink {
            uplink.ask(question, stream, loop: index)
        } else {
            shared.mailboxes[0].post(.asked(question, stream, loop: index))
        }
    }

    // MARK: - Deadlines

    private func sweep() {
        due.removeAll(keepingCapacity: true)
        wheel.due(now: now, limit: Self.deadlinesPerTurn, into: &due)
        for slot in due { deadlinePassed(slot) }
    }

    private func deadlinePassed(_ slot: UInt32) {
        let stream = stream(slot)
        switch lives[Int(slot)].phase {
        case .vacant: break
        case .head where proxyHeaders[slot] != nil:
            refuseProxy(stream, Refusal(.handshakeTimeout, "the PROXY header did not come in time"))
        case .head where engine.isSecuring(stream): tlsTimedOut(stream)
        case .head: refuse(stream, Refusal(.handshakeTimeout, "the request head did not come in time"))
        case .authenticating: refuse(stream, Refusal(.authenticationTimeout, "the first message did not come in time"))
        case .verifying: refuse(stream, Refusal(.atCapacity, "more tokens came than can be verified in time"))
        case .asking: refuse(stream, Refusal(.storeUnavailable, "Redis did not answer in time"))
        case .live: checkLife(slot)
        case .closing: engine.close(stream)
        }
    }

    /// A live connection's next deadline: its expiry, or the time to hear from it.
    func setLifeDeadline(_ slot: UInt32) {
        let quiet = BootTime(nanoseconds: began.nanoseconds) + Milliseconds(Int64(lives[Int(slot)].heard) * 50)
        // Fixed at the admission: a wall clock that steps back does not prolong it.
        if lives[Int(slot)].ends == nil, let expires = registry.identity(slot)?.expires {
            lives[Int(slot)].ends = now + expires.since(wall)
        }
        // Frozen time is not the client's: how long it was silent is counted anew at the thaw.
        if !mayServe(slot) { return setFrozenDeadline(slot) }
        let heartbeat = Heartbeat(configuration.heartbeat)
        var deadline = quiet + (lives[Int(slot)].wasPinged ? heartbeat.closeAfter : heartbeat.pingAfter(slot))
        if let ends = endOfService(slot) { deadline = min(deadline, ends) }
        if let notice = noticeOfExpiry(slot) { deadline = min(deadline, notice) }
        wheel.set(slot, at: deadline)
    }

    /// A moment in wheel ticks since the loop began, rounded down.
    func ticks(_ time: BootTime) -> UInt32 {
        UInt32(clamping: max(0, time.since(began).count) / SweepWheel.tick.count)
    }

    func heard(_ slot: UInt32) {
        lives[Int(slot)].heard = ticks(now)
        lives[Int(slot)].wasPinged = false
    }

    private func checkLife(_ slot: UInt32) {
        let hasExpired = registry.identity(slot)?.expires.map { $0 <= wall } ?? false
        if hasExpired || lives[Int(slot)].ends.map({ $0 <= now }) ?? false {
            condemn(slot, Closing(.expired))
            return
        }
        guard meetsDemand(slot) else { return }
        forgetRate(slot, onlyWhole: true)
        guard mayServe(slot) else { return setFrozenDeadline(slot) }
        let heartbeat = Heartbeat(configuration.heartbeat)
        let silent = Milliseconds(now.since(began).count - Int64(lives[Int(slot)].heard) * 50)
        if silent >= heartbeat.closeAfter {
            condemn(slot, Closing(.heartbeatTimeout))
            return
        }
        sayExpiring(slot)
        guard lives[Int(slot)].phase == .live else { return }
        if silent >= heartbeat.pingAfter(slot), !lives[Int(slot)].wasPinged {
            lives[Int(slot)].wasPinged = true
            output.removeAll(keepingCapacity: true)
            FrameWriter.appendPing([UInt8]().span, to: &output)
            engine.send(stream(slot), output)
        }
        setLifeDeadline(slot)
    }

    // MARK: - Draining

    private func beginDrain() {
        guard !isDraining else { return }
        isDraining = true
        drainEnds = now + configuration.drainDeadline
        for slot in lives.indices where lives[slot].phase != .vacant {
            drainQueue.append(StreamID(slot: UInt32(slot), generation: lives[slot].generation))
        }
    }

    /// Closes a slice, so that all are told within half of the deadline; the other half is theirs to go.
    private func drainSlice() {
        guard isDraining, !hasEnded else { return }
        if now >= nextDrainSlice {
            nextDrainSlice = now + SweepWheel.tick
            closeDrainSlice()
        }
        if connectionCount == 0 || now >= drainEnds {
            hasEnded = true
            engine.pauseAccepting()
            tellEndings()
            shared.mailboxes[0].post(.drained(loop: index))
        }
    }

    private func closeDrainSlice() {
        let left = max(1, drainEnds.since(now).count - configuration.drainDeadline.count / 2)
        let slice = max(1, drainQueue.count * 50 / Int(max(left, 50)))
        for _ in 0..<min(slice, drainQueue.count) {
            guard let stream = drainQueue.popLast(), isCurrent(stream) else { continue }
            switch lives[Int(stream.slot)].phase {
            case .live: condemn(stream.slot, Closing(.shuttingDown, retryAfter: jitteredRetry()))
            case .authenticating, .verifying, .asking: refuse(stream, Refusal(.draining, "the gate is shutting down"))
            case .head: engine.close(stream)
            case .vacant, .closing: break
            }
        }
    }

    /// Between half and one and a half of `drain.retry_after`, another for each connection.
    func jitteredRetry() -> Milliseconds {
        let middle = configuration.drainRetryAfter.count
        return Milliseconds(middle / 2 + Int64.random(in: 0...max(1, middle)))
    }
}

extension GateLoop: EngineDelegate {
    func turnBegan() {
        now = BootTime(nanoseconds: Clock.boot())
        // Claims are judged by the greatest wall clock seen: a step back revives nothing.
        greatestWall = max(greatestWall, WallTime(milliseconds: Clock.wall()))
        wall = greatestWall
        walkSlice()
        readMail()
    }

    func accepted(_ stream: StreamID, from peer: PeerAddress?) {
        let slot = Int(stream.slot)
        while lives.count <= slot { lives.append(Live()) }
        lives[slot] = Live()
        lives[slot].generation = stream.generation
        lives[slot].phase = .head
        lives[slot].address = peer.map { IPAddress(high: $0.high, low: $0.low) }
        connectionCount += 1
        crowd.came(connectionCount)
        shared.connections.add(1, ordering: .relaxed)
        wheel.set(stream.slot, at: now + configuration.handshake)
        begin(stream)
        lookAtCapacity()
    }

    func linksServed() {
        if uplink != nil { readMail() }
        // Behind the mail and before the first client: what is over by now, a lease or a credential, is over for them.
        now = BootTime(nanoseconds: Clock.boot())
        lookAtLease()
        sweep()
        beginVerifying()
        deliverRelayed()
        beginMessages()
    }

    func connected(_ stream: StreamID) {
        uplink?.connected(stream)
    }

    func received(_ stream: StreamID, _ bytes: Span<UInt8>) {
        guard isCurrent(stream) else {
            uplink?.received(stream, bytes)
            return
        }
        switch lives[Int(stream.slot)].phase {
        case .head where !proxyHeaders.isEmpty && proxyHeaders[stream.slot] != nil: proxyHeaderReceived(stream, bytes)
        case .head: headReceived(stream, bytes)
        case .authenticating: firstMessageReceived(stream, bytes)
        case .verifying, .asking: keepEarly(stream, bytes)
        case .live: framesReceived(stream, bytes)
        // Closing means stopping: read, so that the close frame is not destroyed by a reset, and thrown away.
        case .closing, .vacant: break
        }
    }

    func drained(_ stream: StreamID) {}

    func gone(_ stream: StreamID, _ reason: Gone) {
        guard isCurrent(stream) else {
            uplink?.gone(stream, reason)
            return
        }
        let slot = stream.slot
        if case .insecure(let failure) = reason { tlsFailed(stream, failure) }
        wheel.remove(slot)
        forgetJoins(slot)
        leave(slot)
        leaveThrottle(slot)
        if !boundClients.isEmpty { boundClients[slot] = nil }
        held[slot] = nil
        forgetRefresh(slot)
        forgetRate(slot, onlyWhole: false)
        if !unread.isEmpty { unread[slot] = nil }
        if !unverified.isEmpty { unverified.remove(slot) }
        if !proxyHeaders.isEmpty { proxyHeaders[slot] = nil }
        lives[Int(slot)] = Live()
        connectionCount -= 1
        crowd.went()
        shared.connections.subtract(1, ordering: .relaxed)
    }

    func acceptFailed(_ errno: Int32) {
        shared.report(.acceptFailed(SocketError.text(errno)))
    }

    func turnEnded() -> Int32? {
        drainSlice()
        lookForRoom()
        pace()
        readOn()
        expelSlice()
        closeSlice()
        thawSlice()
        restorePlaces()
        enterSlice()
        askSlice()
        careForSessions()
        tellEndings()
        releaseRooms()
        shrink()
        uplink?.turnEnded()
        if hasEnded, uplink?.mayEnd ?? true { return nil }
        if due.count == Self.deadlinesPerTurn || hasWorkLeft { return 0 }
        if hasUnread { return isCongested ? 1 : 0 }
        let idle = wheel.count == 0 && uplink == nil && !isDraining && !isFull && !crowd.isAwaited(connectionCount)
        return idle ? -1 : Int32((isReadingSessions ? SessionCare.shortStep : SweepWheel.tick).count)
    }

    /// Whether a slice waits for the next turn.
    private var hasWorkLeft: Bool {
        !mail.isEmpty || !walks.isEmpty || !asks.isEmpty || !massCloses.isEmpty || !expelled.isEmpty || thawing != nil
            || !relayed.isEmpty || restoresPlacesFrom != nil || verifications.count > 0
            || presence?.entersFrom != nil
    }

    /// Takes a connection out of the registry and its rooms: the one place where it leaves both.
    private func leave(_ slot: UInt32) {
        rooms.leaveAll(slot)
        tellEndings()
        guard let identity = registry.identity(slot) else { return }
        givePlaceBack(slot, identity)
        registry.remove(slot)
        if book.count > 0, !registry.hasConnections(ofUserOf: identity) { book.forget(identity.user) }
    }
}

import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Synchronization

/// head → credential → pending → checked → live | refused.
extension GateLoop {
    // MARK: - The head

    func headReceived(_ stream: StreamID, _ bytes: Span<UInt8>) {
        let slot = Int(stream.slot)
        guard let pending = lives[slot].pending else {
            judgeHead(stream, bytes)
            return
        }
        pending.bytes.append(bytes.indices, of: bytes)
        let all = pending.bytes
        judgeHead(stream, all.span)
    }

    private func judgeHead(_ stream: StreamID, _ bytes: Span<UInt8>) {
        switch head.parse(bytes, limits: configuration.headLimits) {
        case .incomplete:
            let slot = Int(stream.slot)
            guard lives[slot].pending == nil else { return }
            let pending = PendingHandshake()
            pending.bytes = bytes.copy()
            lives[slot].pending = pending
        case .refused(let refusal):
            let held = throttled(stream)
            refuse(stream, held?.refusal ?? refusal, retryAfter: held?.retryAfter)
        case .complete(let length):
            handshake(stream, bytes, length)
        }
    }

    // MARK: - The credential

    private func handshake(_ stream: StreamID, _ bytes: Span<UInt8>, _ length: Int) {
        let isSecured = believeProxies(stream.slot, bytes)
        // Before any credential is looked at; the request is read all the same, so that a page can be told.
        let held = throttled(stream)
        var asked = PendingHandshake?.none
        do throws(Refusal) {
            let request = try UpgradeRequest(head, bytes, base: configuration.path)
            let pending = PendingHandshake()
            pending.request = request
            pending.subprotocol = Subprotocol.choose(head, bytes, names: configuration.subprotocols)
            pending.origin = configuration.origins.verdict(on: request, bytes, secure: isSecured)
            pending.headLength = length
            asked = pending
            lives[Int(stream.slot)].resource = request.resource
            if let held { throw held.refusal }
            try proceed(stream, bytes, pending)
        } catch {
            if let asked, asked.bytes.isEmpty, let request = asked.request,
                configuration.refusal.opensAndCloses(error.outcome, request, asked.origin)
            {
                asked.bytes = bytes.copy()
            }
            refuse(stream, held?.refusal ?? error, asked, retryAfter: held?.retryAfter)
        }
    }

    private func proceed(_ stream: StreamID, _ bytes: Span<UInt8>, _ pending: PendingHandshake) throws(Refusal) {
        guard let request = pending.request else { return }
        guard !isDraining else { throw Refusal(.draining, "the gate is shutting down") }
        let credential = try configuration.credentials.credential(of: request, head, bytes)
        pending.kind = credential?.kind ?? .none
        try configuration.origins.check(pending.origin, credential)
        guard shared.connections.load(ordering: .relaxed) <= configuration.connections else {
            throw Refusal(.atCapacity, "limits.connections is reached")
        }
        guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
        switch credential {
        case .token(let token, _): try tokenShown(stream, bytes, pending, token)
        case .session(let id): try askSession(stream, bytes, pending, id)
        case .signedSession(let id, let signature):
            try verifyCookie(id, signature)
            try askSession(stream, bytes, pending, id)
        case .ticket(let ticket):
            wait(stream, bytes, pending)
            ask(.ticket(ticket), stream)
        case nil: try awaitFirstMessage(stream, bytes, pending)
        }
    }

    /// A token is there: it is verified, and the connection entered.
    func presented(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ token: [UInt8]
    ) throws(Refusal) {
        let verified = try verify(token.span)
        hold(stream.slot, to: verified)
        pending.version = verified.version
        try identified(stream, bytes, pending, verified.identity)
    }

    /// It is known who asks: the connection is entered and checked, and Redis is asked for what only it knows.
    func identified(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ identity: Identity
    ) throws(Refusal) {
        try register(stream, identity)
        pending.identity = identity
        try checkStanding(stream.slot, identity)
        try askRest(stream, bytes, pending, identity)
    }

    /// What stands in Redis beside the credential: keys that other services share, the stored role.
    func askRest(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ identity: Identity
    ) throws(Refusal) {
        let resource = pending.request?.resource
        if identity.kind == .token, configuration.asksSharedKeys || configuration.asksActiveTokens {
            guard let hash = identity[.tokenHash] else {
                throw Refusal(.storeUnavailable, "the token was not hashed, so that its keys can't be asked")
            }
            let check = TokenCheck(
                user: identity.user,
                token: identity[.token],
                hash: hash,
                asksRevocations: configuration.asksSharedKeys,
                asksActive: configuration.asksActiveTokens,
                resource: resource
            )
            wait(stream, bytes, pending)
            ask(.token(check), stream)
        } else if let resource {
            wait(stream, bytes, pending)
            ask(.permission(user: identity.user, resource: resource), stream)
        } else {
            try takePlace(stream, bytes, pending, grant: nil)
        }
    }

    /// Enters the connection under all its keys, before the replica is asked: a decision that arrives in between finds the entry.
    func register(_ stream: StreamID, _ identity: Identity) throws(Refusal) {
        guard registry.register(stream.slot, identity, presented: shared.presented(wall: wall)) else {
            throw Refusal(.badRequest, "the connection is registered already")
        }
    }

    /// Holds a registered handshake against the replica: as of its registration, so that no step of a clock makes it younger.
    func checkStanding(_ slot: UInt32, _ identity: Identity) throws(Refusal) {
        guard let presented = registry.presented(slot) else {
            throw Refusal(.badRequest, "the connection is not registered")
        }
        if let verdict = verdict(slot, on: identity, presented: presented) {
            throw Refusal(verdict.outcome, "a standing decision covers the credential")
        }
    }

    /// What stands against a credential of a connection that was shown at that time.
    func verdict(
        _ slot: UInt32,
        on identity: Identity,
        presented: WallTime
    ) -> StandingDecisions.Verdict? {
        let (address, redisTime) = (lives[Int(slot)].address, shared.redisTime())
        return shared.standing.withLock {
            $0.verdict(on: identity, from: address, presented: presented, now: redisTime)
        }
    }

    // MARK: - Waiting for Redis

    func wait(_ stream: StreamID, _ bytes: Span<UInt8>, _ pending: PendingHandshake) {
        let slot = Int(stream.slot)
        guard [.head, .authenticating, .verifying].contains(lives[slot].phase) else { return }
        // Who has waited for its share has them already.
        if !pending.isUpgraded, lives[slot].phase != .verifying { pending.bytes = bytes.copy() }
        lives[slot].pending = pending
        lives[slot].phase = .asking
    }

    func keepEarly(_ stream: StreamID, _ bytes: Span<UInt8>) {
        guard let pending = lives[Int(stream.slot)].pending else { return }
        guard pending.bytes.count + bytes.count <= PendingHandshake.maximumEarly else {
            refuse(stream, Refusal(.badRequest, "too much was sent before the answer"))
            return
        }
        pending.bytes.append(bytes.indices, of: bytes)
    }

    /// Redis has answered what a handshake waited for.
    func answered(_ stream: StreamID, _ answer: Answer) {
        guard isCurrent(stream), lives[Int(stream.slot)].phase == .asking,
            let pending = lives[Int(stream.slot)].pending
        else { return }
        do throws(Refusal) {
            // The view may have been lost while Redis was asked.
            guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
            let bytes = pending.bytes
            switch answer {
            case .unavailable(let detail): throw Refusal(.storeUnavailable, detail)
            case .session(let state, let asOf):
                // It may have been read for another handshake, before this one.
                pending.sessionAsked = min(pending.sessionAsked, asOf)
                try sessionRead(stream, bytes.span, pending, state)
            case .firstSeen(let time): try firstSeen(stream, bytes.span, pending, time)
            case .ticket(let value): try identified(stream, bytes.span, pending, try ticket(pending, value))
            case .token(let answer):
                try check(answer, version: pending.version)
                try takePlace(stream, bytes.span, pending, grant: try grant(answer.grant))
            case .permission(let stored): try takePlace(stream, bytes.span, pending, grant: try grant(stored))
            case .place(let answer): try placeAnswered(stream, pending, answer)
            }
        } catch {
            refuse(stream, error, pending)
        }
    }

    private func grant(_ stored: [UInt8]?) throws(Refusal) -> Grant? {
        guard let stored else { return nil }
        guard let grant = Grant(stored: Identifier(bytes: stored), roles: configuration.roles) else {
            throw Refusal(.forbiddenResource, "the stored permission is malformed")
        }
        return grant
    }

    /// What the keys say that other services share.
    func check(_ answer: TokenCheck.Answer, version: Int64?) throws(Refusal) {
        guard !answer.isRevoked else { throw Refusal(.revoked, "a shared key says that the token is revoked") }
        if let stored = answer.leastVersion {
            guard let least = Int64(String(decoding: stored, as: UTF8.self)) else {
                throw Refusal(.storeUnavailable, "the least version of the user's tokens is no number")
            }
            guard let version, version >= least else {
                throw Refusal(.revoked, "the token's version is below the least that is accepted of the user")
            }
        }
        guard answer.isActive else { throw Refusal(.revoked, "the token is not among the active ones") }
    }

    private func ticket(_ pending: PendingHandshake, _ value: [UInt8]?) throws(Refusal) -> Identity {
        guard let value else { throw Refusal(.badTicket, "there is no such ticket, or it has been used") }
        let ticket = try TicketCodec.decode(value, roles: configuration.roles, &json)
        if let expires = ticket.identity.expires, expires <= wall { throw Refusal(.badTicket, "the ticket has ended") }
        if let resource = ticket.resource, resource != pending.request?.resource {
            throw Refusal(.forbiddenResource, "the ticket is for another resource")
        }
        return ticket.identity
    }
}

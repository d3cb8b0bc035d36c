import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
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
        for at in bytes.indices { pending.bytes.append(bytes[at]) }
        let all = pending.bytes
        judgeHead(stream, all.span)
    }

    private func judgeHead(_ stream: StreamID, _ bytes: Span<UInt8>) {
        switch head.parse(bytes, limits: configuration.headLimits) {
        case .incomplete:
            let slot = Int(stream.slot)
            guard lives[slot].pending == nil else { return }
            let pending = PendingHandshake()
            pending.bytes = copy(bytes)
            lives[slot].pending = pending
        case .refused(let refusal):
            let held = throttled(stream)
            refuse(stream, held?.refusal ?? refusal, retryAfter: held?.retryAfter)
        case .complete(let length):
            handshake(stream, bytes, length)
        }
    }

    private func copy(_ bytes: Span<UInt8>) -> [UInt8] {
        var array: [UInt8] = []
        array.reserveCapacity(bytes.count)
        for at in bytes.indices { array.append(bytes[at]) }
        return array
    }

    // MARK: - The credential

    private func handshake(_ stream: StreamID, _ bytes: Span<UInt8>, _ length: Int) {
        // Before any credential is looked at; the request is read all the same, so that a page can be told.
        let held = throttled(stream)
        var asked = PendingHandshake?.none
        do throws(Refusal) {
            let request = try UpgradeRequest(head, bytes, base: configuration.path)
            let pending = PendingHandshake()
            pending.request = request
            pending.subprotocol = Subprotocol.choose(head, bytes, names: configuration.subprotocols)
            pending.origin = configuration.origins.verdict(on: request, bytes, secure: false)
            pending.headLength = length
            asked = pending
            lives[Int(stream.slot)].resource = request.resource
            if let held { throw held.refusal }
            try proceed(stream, bytes, pending)
        } catch {
            if let asked, asked.bytes.isEmpty, let request = asked.request,
                configuration.refusal.opensAndCloses(error.outcome, request, asked.origin)
            {
                asked.bytes = copy(bytes)
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
        case .token(let token, _):
            try identified(stream, bytes, pending, try verifier.verify(token.span, now: wall).identity)
        case .session(let id):
            guard configuration.sessions != nil else { throw Refusal(.missingCredential, "sessions are off") }
            wait(stream, bytes, pending)
            ask(.session(id), stream)
        case .ticket(let ticket):
            wait(stream, bytes, pending)
            ask(.ticket(ticket), stream)
        case nil:
            throw Refusal(.missingCredential, "no credential that is accepted")
        }
    }

    /// It is known who asks: the connection is entered and checked, and, where it names a resource, Redis is asked for the role.
    private func identified(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ identity: Identity
    ) throws(Refusal) {
        try register(stream, identity)
        pending.identity = identity
        if pending.request?.resource == nil {
            try admit(stream, bytes, pending, grant: nil)
        } else {
            try askPermission(stream, bytes, pending)
        }
    }

    /// Enters the connection under all its keys, then asks the replica: a decision that arrives in between finds the entry.
    private func register(_ stream: StreamID, _ identity: Identity) throws(Refusal) {
        guard registry.register(stream.slot, identity, presented: wall) else {
            throw Refusal(.badRequest, "the connection is registered already")
        }
        try checkStanding(identity, lives[Int(stream.slot)].address)
    }

    private func checkStanding(_ identity: Identity, _ address: IPAddress?) throws(Refusal) {
        let redisTime = shared.redisTime(wall)
        let presented = wall
        let verdict = shared.standing.withLock { standing in
            standing.verdict(on: identity, from: address, presented: presented, now: redisTime)
        }
        if let verdict { throw Refusal(verdict.outcome, "a standing decision covers the credential") }
    }

    // MARK: - Waiting for Redis

    private func wait(_ stream: StreamID, _ bytes: Span<UInt8>, _ pending: PendingHandshake) {
        let slot = Int(stream.slot)
        guard lives[slot].phase == .head else { return }
        pending.bytes = copy(bytes)
        lives[slot].pending = pending
        lives[slot].phase = .asking
    }

    func keepEarly(_ stream: StreamID, _ bytes: Span<UInt8>) {
        guard let pending = lives[Int(stream.slot)].pending else { return }
        guard pending.bytes.count + bytes.count <= PendingHandshake.maximumEarly else {
            refuse(stream, Refusal(.badRequest, "too much was sent before the answer"))
            return
        }
        for at in bytes.indices { pending.bytes.append(bytes[at]) }
    }

    private func askPermission(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake
    ) throws(Refusal) {
        guard let resource = pending.request?.resource, let identity = pending.identity else { return }
        wait(stream, bytes, pending)
        ask(.permission(user: identity.user, resource: resource), stream)
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
            case .session(let state):
                try identified(stream, bytes.span, pending, try session(pending, bytes, state))
            case .ticket(let value): try identified(stream, bytes.span, pending, try ticket(pending, value))
            case .permission(let stored):
                var grant: Grant?
                if let stored {
                    grant = Grant(stored: Identifier(bytes: stored), roles: configuration.roles)
                    guard grant != nil else { throw Refusal(.forbiddenResource, "the stored permission is malformed") }
                }
                try admit(stream, bytes.span, pending, grant: grant)
            }
        } catch {
            refuse(stream, error, pending)
        }
    }

    private func session(
        _ pending: PendingHandshake,
        _ bytes: [UInt8],
        _ state: SessionState
    ) throws(Refusal) -> Identity {
        guard let policy = configuration.sessions, let request = pending.request,
            case .complete = head.parse(bytes.span, limits: configuration.headLimits),
            case .session(let id) = try configuration.credentials.credential(of: request, head, bytes.span)
        else { throw Refusal(.unknownSession, "there is no session in the request") }
        return try identity(of: id, state, policy)
    }

    /// What a session says; refused where it is gone, unreadable, expired or too old.
    func identity(of id: Identifier, _ state: SessionState, _ policy: SessionPolicy) throws(Refusal) -> Identity {
        switch state {
        case .absent: throw Refusal(.unknownSession, "there is no such session")
        case .unreadable(let detail): throw Refusal(.storeUnavailable, detail)
        case .present(let stored, let expires):
            let identity = try policy.codec.decode(stored, id: id, expires: expires, &json)
            if let expires, expires <= wall { throw Refusal(.unknownSession, "the session has expired") }
            if let issued = identity.issued, wall.since(issued) > policy.longestLife {
                throw Refusal(.unknownSession, "the session is older than sessions.longest_life")
            }
            return identity
        }
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

    // MARK: - Admission

    /// The role that counts: the stored grant where there is one, removal included, else the credential's claim, else the default.
    func role(_ identity: Identity, on resource: Identifier, _ grant: Grant?) -> Role? {
        if let grant { return grant.role }
        return identity.permissions[resource] ?? configuration.defaultRole
    }

    private func admit(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        grant stored: Grant?
    ) throws(Refusal) {
        let slot = stream.slot
        guard let request = pending.request, let identity = pending.identity, let length = pending.headLength else {
            throw Refusal(.badRequest, "the handshake is out of order")
        }
        // A decision may have come while Redis was asked.
        if lives[Int(slot)].phase == .asking { try checkStanding(identity, lives[Int(slot)].address) }
        var bound: (resource: Identifier, role: Role)?
        if let resource = request.resource {
            let grant = PermissionBook.newer(stored, book.grant(identity.user, resource))
            guard let role = role(identity, on: resource, grant), role >= configuration.roles.viewer else {
                throw Refusal(.forbiddenResource, "the user holds no role on the resource")
            }
            bound = (resource, role)
            rooms.join(slot, resource, role: role, version: grant?.version ?? 0)
        }
        output.removeAll(keepingCapacity: true)
        try appendUpgrade(request, pending.subprotocol, bytes)
        guard registry.admit(slot) else { throw Refusal(.revoked, "a decision came before the admission") }
        let isVersion1 = pending.subprotocol.isVersion1
        lives[Int(slot)].isVersion1 = isVersion1
        lives[Int(slot)].pending = nil
        lives[Int(slot)].phase = .live
        if isVersion1 { appendWelcome(slot, identity, bound) }
        engine.govern(stream)
        engine.send(stream, output)
        heard(slot)
        setLifeDeadline(slot)
        if configuration.reportsAdmissions {
            let address = lives[Int(slot)].address
            shared.report(
                .admitted(connectionID(slot), user: identity.user, credential: pending.kind, address: address)
            )
        }
        // What came behind the head are frames: some clients do not wait for the answer.
        if bytes.count > length { framesReceived(stream, bytes.extracting(length..<bytes.count)) }
    }

    private func appendUpgrade(
        _ request: UpgradeRequest,
        _ subprotocol: Subprotocol,
        _ bytes: Span<UInt8>
    ) throws(Refusal) {
        var key: [UInt8] = []
        HandshakeResponse.appendAcceptInput(key: request.key, bytes, to: &key)
        do throws(CryptoError) {
            let accept = try SHA1.digest(key.span)
            HandshakeResponse.appendUpgrade(accept: accept.span, subprotocol: subprotocol, bytes, to: &output)
        } catch {
            throw Refusal(.storeUnavailable, "SHA-1 is not available: \(error)")
        }
    }

    private func appendWelcome(_ slot: UInt32, _ identity: Identity, _ bound: (resource: Identifier, role: Role)?) {
        var permissions = identity.permissions
        for (resource, grant) in book.grants(of: identity.user) { permissions[resource] = grant.role }
        if let bound { permissions[bound.resource] = bound.role }
        let message = ServerMessage.welcome(
            .init(
                connection: connectionID(slot),
                user: identity.user,
                session: identity[.session],
                expires: identity.expires,
                resource: bound?.resource,
                role: bound?.role,
                permissions: permissions,
                node: configuration.node,
                heartbeat: configuration.heartbeat
            ),
            roles: configuration.roles
        )
        FrameWriter.append(.text, message.span, to: &output)
    }

    // MARK: - Refusal

    /// Answers a handshake that is not admitted, over HTTP or as an opening that is closed at once.
    /// - Parameter retryAfter: when another attempt may succeed, where that is known.
    func refuse(
        _ stream: StreamID,
        _ refusal: Refusal,
        _ known: PendingHandshake? = nil,
        retryAfter: Milliseconds? = nil
    ) {
        let slot = Int(stream.slot)
        guard isCurrent(stream), lives[slot].phase == .head || lives[slot].phase == .asking else { return }
        let pending = known ?? lives[slot].pending
        let report = report(stream, pending)
        output.removeAll(keepingCapacity: true)
        if let pending, let request = pending.request,
            configuration.refusal.opensAndCloses(refusal.outcome, request, pending.origin),
            appendOpening(pending, request)
        {
            let retry = refusal.outcome.row.reconnect == .later ? retryAfter ?? configuration.drainRetryAfter : nil
            Closing(refusal.outcome, retryAfter: retry)
                .append(isVersion1: pending.subprotocol.isVersion1, to: &output)
        } else {
            output.removeAll(keepingCapacity: true)
            HandshakeResponse.appendRefusal(
                refusal.outcome,
                requestID: Array(report.request.utf8),
                // Whole seconds, rounded up.
                retryAfter: Int(((retryAfter?.count ?? 1000) + 999) / 1000),
                to: &output
            )
        }
        countFailure(stream, refusal.outcome)
        shared.report(.refused(report, refusal))
        _ = registry.condemn(stream.slot)
        lives[slot].pending = nil
        lives[slot].phase = .closing
        rooms.leaveAll(stream.slot)
        engine.send(stream, output)
        engine.finish(stream)
        wheel.set(stream.slot, at: now + configuration.closeDeadline)
    }

    private func appendOpening(_ pending: PendingHandshake, _ request: UpgradeRequest) -> Bool {
        let bytes = pending.bytes
        guard !bytes.isEmpty else { return false }
        do throws(Refusal) {
            try appendUpgrade(request, pending.subprotocol, bytes.span)
            return true
        } catch {
            return false
        }
    }

    private func report(_ stream: StreamID, _ pending: PendingHandshake?) -> GateReport.Handshake {
        GateReport.Handshake(
            request: shared.nextRequest(),
            credential: pending?.kind ?? .none,
            address: lives[Int(stream.slot)].address
        )
    }
}

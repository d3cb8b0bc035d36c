import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisWire
import Synchronization

/// Handshakes with a server session: the cookie, the read, the binding, the time when it was made.
extension GateLoop {
    /// A cookie is believed only where the gate's own secret signed it.
    func verifyCookie(_ id: Identifier, _ signature: [UInt8]) throws(Refusal) {
        guard let cookieContext, cookieContext.isValid(signature.span, of: id.bytes.span) else {
            throw Refusal(.unknownSession, "the signature of the session cookie is not valid")
        }
    }

    func askSession(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ id: Identifier
    ) throws(Refusal) {
        guard let policy = sessions else { throw Refusal(.missingCredential, "sessions are off") }
        pending.session = id
        pending.sessionAsked = now
        if !policy.bind.isEmpty { pending.client = BoundClient(PresentedClient(head, bytes)) }
        wait(stream, bytes, pending)
        ask(.session(id), stream)
    }

    /// The session was read: its connection is entered, and where it does not say when it was made, Redis is asked who saw it first.
    func sessionRead(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ state: SessionState
    ) throws(Refusal) {
        guard let policy = sessions, let id = pending.session else {
            throw Refusal(.unknownSession, "there is no session in the request")
        }
        let session = try session(id, state, policy)
        try checkBinding(session, stream, pending.client, policy)
        pending.isMFAVerified = session.isMFAVerified
        pending.sessionLife = session.life
        guard session.identity.issued == nil else {
            return try identified(stream, bytes, pending, session.identity)
        }
        // Entered now, so that the end of the session finds it; held against the decisions when its time is known.
        try register(stream, session.identity)
        pending.identity = session.identity
        if !shared.hasWarnedOfCreation.exchange(true, ordering: .relaxed) { shared.report(.sessionsLackCreation) }
        ask(.firstSeen(id, left: session.identity.expires.map { $0.since(wall) }), stream)
    }

    func firstSeen(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ time: WallTime
    ) throws(Refusal) {
        guard let policy = sessions, let known = pending.identity else {
            throw Refusal(.unknownSession, "there is no session in the request")
        }
        let identity = try lasting(known.dated(issued: known.issued ?? time, expires: known.expires), policy)
        registry.update(stream.slot, identity)
        pending.identity = identity
        try checkStanding(stream.slot, identity)
        try askRest(stream, bytes, pending, identity)
    }

    /// What a session says; refused where it is gone, unreadable, expired or too old.
    func session(_ id: Identifier, _ state: SessionState, _ policy: SessionRules) throws(Refusal) -> ServerSession {
        switch state {
        case .absent: throw Refusal(.unknownSession, "there is no such session")
        case .unreadable(let detail): throw Refusal(.storeUnavailable, detail)
        case .present(let stored, let expires):
            let session = try policy.codec.decode(stored, id: id, expires: expires, &json) {
                issued,
                expires throws(Refusal) in
                // Made in a time to come, it would be newer than every decision until then: it counts as one that does not say.
                let issued = issued.flatMap { $0 > wall ? nil : $0 }
                return (issued, try lasting(issued, expires, policy))
            }
            if let expires, expires <= wall { throw Refusal(.unknownSession, "the session has expired") }
            return session
        }
    }

    /// No session lives longer than `sessions.longest_life`, however often it is renewed.
    /// - Returns: when it ends.
    private func lasting(
        _ issued: WallTime?,
        _ expires: WallTime?,
        _ policy: SessionRules
    ) throws(Refusal) -> WallTime? {
        guard let issued else { return expires }
        let end = issued + policy.longestLife
        guard end > wall else { throw Refusal(.unknownSession, "the session is older than sessions.longest_life") }
        return expires.map { min($0, end) } ?? end
    }

    func lasting(_ identity: Identity, _ policy: SessionRules) throws(Refusal) -> Identity {
        guard identity.issued != nil else { return identity }
        return identity.dated(
            issued: identity.issued,
            expires: try lasting(identity.issued, identity.expires, policy)
        )
    }

    func checkBinding(
        _ session: ServerSession,
        _ stream: StreamID,
        _ client: BoundClient?,
        _ policy: SessionRules
    ) throws(Refusal) {
        guard policy.bind.admits(lives[Int(stream.slot)].address, client, to: session) else {
            throw Refusal(.bindingMismatch, "the session is bound to another client, or to none")
        }
    }

    /// A session was used by the handshake that it admitted.
    func sessionAdmitted(_ slot: UInt32, _ pending: PendingHandshake) {
        guard let id = pending.session, let policy = sessions else { return }
        lives[Int(slot)].isOfSession = true
        lives[Int(slot)].sessionRead = max(lives[Int(slot)].sessionRead, ticks(pending.sessionAsked))
        if let client = pending.client { boundClients[slot] = client }
        if policy.touches { touch(id, least: pending.sessionLife) }
    }
}

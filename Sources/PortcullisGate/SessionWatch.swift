import PortcullisCore
import PortcullisReactor

/// Live connections of server sessions, when Redis tells that a session was changed.
extension GateLoop {
    /// A session was read again: its connections are closed where it has ended, and take over what it says where it goes on.
    func sessionChanged(_ id: Identifier, _ state: SessionState) {
        guard let policy = configuration.sessions else { return }
        var slots: [UInt32] = []
        registry.forEach(.session, id) { slot, identity in
            if identity.kind == .session, registry.state(slot) != .condemned { slots.append(slot) }
        }
        for slot in slots {
            guard let old = registry.identity(slot) else { continue }
            do throws(Refusal) {
                let new = try identity(of: id, state, policy)
                guard new.matches(.user, old) else { throw Refusal(.sessionEnded, "another user") }
                registry.update(slot, new)
                if lives[Int(slot)].phase == .live { setLifeDeadline(slot) }
            } catch {
                // Redis forgets an expired key and tells that as it tells a deletion: the connection's own clock knows better.
                if lives[Int(slot)].phase == .asking {
                    refuse(stream(slot), Refusal(.unknownSession, "the session ended during the handshake"))
                    continue
                }
                let hasExpired = state == .absent && old.expires.map { $0.since(wall) <= Milliseconds(250) } ?? false
                condemn(slot, Closing(hasExpired ? .expired : .sessionEnded))
            }
        }
    }

    /// The subscription was renewed: what was told meanwhile is lost, so every session that is held is read again.
    func askAboutSessions() {
        guard configuration.sessions != nil else { return }
        var sessions = Set<Identifier>()
        registry.forEachCandidate(Selector(all: true)) { _, identity in
            if identity.kind == .session, let session = identity[.session] { sessions.insert(session) }
        }
        for session in sessions {
            if let uplink { uplink.readSession(session) } else { shared.mailboxes[0].post(.readSession(session)) }
        }
    }
}

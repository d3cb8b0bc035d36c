import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import PortcullisWire

/// Live connections of server sessions, when Redis tells that a session was changed.
extension GateLoop {
    /// A session was read again: its connections are closed where it has ended, and take over what it says where it goes on.
    /// - Parameter askedAt: when the question was sent: as of then the session is known.
    func sessionChanged(_ id: Identifier, _ state: SessionState, askedAt: BootTime) {
        guard let policy = sessions else { return }
        var slots: [UInt32] = []
        registry.forEach(.session, id) { slot, identity in
            if identity.kind == .session, registry.state(slot) != .condemned { slots.append(slot) }
        }
        // Many may hold one session: they are stopped at once, and their last bytes written a slice a turn.
        var ended: [UInt32] = []
        var expired: [UInt32] = []
        for slot in slots {
            guard let old = registry.identity(slot) else { continue }
            do throws(Refusal) {
                let new = try session(id, state, policy)
                guard new.identity.matches(.user, old) else { throw Refusal(.sessionEnded, "another user") }
                let client = boundClients[slot] ?? lives[Int(slot)].pending?.client
                try checkBinding(new, stream(slot), client, policy)
                try takeOver(slot, new, policy)
                sessionProved(slot, askedAt)
            } catch {
                if error.outcome == .bindingMismatch || error.outcome == .reauthenticationRequired {
                    end(slot, error)
                    continue
                }
                // Redis forgets an expired key and tells that as it tells a deletion: the connection's own clock knows better.
                if lives[Int(slot)].phase == .asking {
                    refuse(stream(slot), Refusal(.unknownSession, "the session ended during the handshake"))
                    continue
                }
                let hasExpired = state == .absent && old.expires.map { $0.since(wall) <= Milliseconds(250) } ?? false
                if hasExpired { expired.append(slot) } else { ended.append(slot) }
            }
        }
        if !ended.isEmpty { closeAll(ended, Closing(.sessionEnded)) }
        if !expired.isEmpty { closeAll(expired, Closing(.expired)) }
    }

    /// Refuses a handshake that is not through, or closes the connection.
    private func end(_ slot: UInt32, _ refusal: Refusal) {
        if lives[Int(slot)].phase == .asking {
            refuse(stream(slot), refusal)
        } else {
            condemn(slot, Closing(refusal.outcome))
        }
    }

    /// Nobody can say what a session holds, for as long as the lease: its connections are closed, and may come back.
    func sessionUnproved(_ id: Identifier) {
        var slots: [UInt32] = []
        registry.forEach(.session, id) { slot, identity in
            if identity.kind == .session, registry.state(slot) != .condemned { slots.append(slot) }
        }
        for slot in slots where lives[Int(slot)].phase == .asking {
            refuse(stream(slot), Refusal(.storeUnavailable, "the session can't be read"))
        }
        closeAll(slots, Closing(.cannotVouch, retryAfter: jitteredRetry()))
    }

    private func isFresh(_ identity: Identity, _ session: ServerSession, for resource: Identifier) -> Bool {
        configuration.stepUp.admits(
            resource,
            authenticated: identity.authenticated,
            isMFAVerified: session.isMFAVerified,
            now: wall,
            leeway: configuration.tokens.leeway
        )
    }

    /// The session says something new of the same user.
    private func takeOver(_ slot: UInt32, _ session: ServerSession, _ policy: SessionRules) throws(Refusal) {
        var new = session.identity
        // One that does not say when it was made is as old as it was before.
        if new.issued == nil, let issued = registry.identity(slot)?.issued {
            new = try lasting(new.dated(issued: issued, expires: new.expires), policy)
        }
        guard let old = registry.identity(slot) else { return }
        let signedIn = old.authenticated
        registry.update(slot, new)
        if lives[Int(slot)].phase == .asking {
            lives[Int(slot)].pending?.identity = new
            lives[Int(slot)].pending?.isMFAVerified = session.isMFAVerified
            return
        }
        if let resource = lives[Int(slot)].resource, configuration.stepUp.marks(resource),
            session.isMFAVerified == false || new.authenticated == nil
                // What was fresh enough to be admitted may grow old; another sign-in must be fresh itself.
                || (new.authenticated != signedIn && !isFresh(new, session, for: resource))
        {
            throw Refusal(.reauthenticationRequired, "the session has lost its sign-in")
        }
        if session.isMFAVerified == false { unverified.insert(slot) } else { unverified.remove(slot) }
        lives[Int(slot)].ends = nil
        // One that is renewed all the time is not told each time that it will end.
        if let expires = new.expires, expires.since(wall) > configuration.expiryNotice { armNotice(slot) }
        setLifeDeadline(slot)
        // A tenant or a device that it did not have may be blocked.
        if let verdict = verdict(slot, signedIn: signedIn) { return condemn(slot, Closing(verdict.outcome)) }
        leaveRooms(slot) { resource in
            guard configuration.stepUp.marks(resource) else { return false }
            return session.isMFAVerified == false || new.authenticated == nil
                || (new.authenticated != signedIn && !isFresh(new, session, for: resource))
        }
        takePermissions(slot, from: old, to: new)
    }

    /// What stands against what a session says now. Its user may have signed in since they were told to: whatever else it says counts as
    /// shown at the handshake.
    private func verdict(_ slot: UInt32, signedIn: WallTime?) -> StandingDecisions.Verdict? {
        guard let identity = registry.identity(slot), let presented = registry.presented(slot) else { return nil }
        let verdict = verdict(slot, on: identity, presented: presented)
        guard verdict == .reauthenticationRequired else { return verdict }
        if identity.authenticated != signedIn {
            let now = shared.presented(wall: wall)
            let newer = self.verdict(slot, on: identity, presented: now)
            if newer == nil {
                noteConnected(slot)
                registry.update(slot, identity, presented: now)
                dropDemand(slot)
            }
            if newer != .reauthenticationRequired { return newer }
        }
        // They have their time for it.
        return lives[Int(slot)].hasDemand ? nil : .reauthenticationRequired
    }
}

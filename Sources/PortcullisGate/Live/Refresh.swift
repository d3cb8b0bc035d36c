import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire

/// A token that is to replace the credential of a live connection, while Redis is asked about it.
struct Refresh {
    let identity: Identity
    /// The number of the key that verified it.
    let key: UInt32
    let version: Int64?
    /// The message's `ref`, as JSON.
    let ref: [UInt8]?
}

/// Live connections that show a newer token of the same user (`refresh`). It is verified as in a handshake, and all that followed from the
/// credential before follows from it. One that is not accepted leaves everything as it was: the connection ends when it would have ended.
extension GateLoop {
    func refresh(_ slot: UInt32, _ token: [UInt8], ref: [UInt8]?) throws(MessageRefusal) {
        guard refreshes[slot] == nil else {
            throw MessageRefusal(.rateLimited, "Another refresh of this connection is under way.", ref: ref)
        }
        guard waitAfterFailures(slot) == nil else {
            throw MessageRefusal(.rateLimited, "Too many credentials of this address were refused: wait.", ref: ref)
        }
        do throws(Refusal) {
            guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
            guard token.count <= configuration.credentials.longestToken else {
                throw Refusal(.malformedToken, "the token is longer than limits.token")
            }
            try shown(slot, try verify(token.span), ref)
        } catch {
            throw refused(slot, error, ref)
        }
    }

    /// The token is a valid one.
    private func shown(_ slot: UInt32, _ verified: VerifiedToken, _ ref: [UInt8]?) throws(Refusal) {
        let identity = verified.identity
        guard let old = registry.identity(slot) else { throw Refusal(.badRequest, "the connection is not registered") }
        guard identity.matches(.user, old) else { return closeForeign(slot) }
        try checkStepUp(slot, identity)
        if let verdict = verdict(slot, on: identity, presented: shared.presented(wall: wall)) {
            throw Refusal(verdict.outcome, "a standing decision covers the token")
        }
        let serial = keysInForce.serial(of: verified)
        let refresh = Refresh(identity: identity, key: serial, version: verified.version, ref: ref)
        guard configuration.asksSharedKeys || configuration.asksActiveTokens else { return try take(slot, refresh) }
        guard let hash = identity[.tokenHash] else {
            throw Refusal(.storeUnavailable, "the token was not hashed, so that its keys can't be asked")
        }
        refreshes[slot] = refresh
        let check = TokenCheck(
            user: identity.user,
            token: identity[.token],
            hash: hash,
            asksRevocations: configuration.asksSharedKeys,
            asksActive: configuration.asksActiveTokens,
            resource: nil
        )
        ask(.refresh(check), stream(slot))
    }

    /// Redis has answered what a `refresh` waited for. There is always an answer, if only that it could not be asked: no other `refresh`
    /// of the connection is taken before it.
    func refreshAnswered(_ stream: StreamID, _ answer: Answer) {
        let slot = stream.slot
        guard isCurrent(stream), lives[Int(slot)].phase == .live, let refresh = refreshes.removeValue(forKey: slot)
        else { return }
        do throws(Refusal) {
            switch answer {
            case .unavailable(let detail): throw Refusal(.storeUnavailable, detail)
            case .token(let answer):
                // The view may have been lost while Redis was asked.
                guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
                try check(answer, version: refresh.version)
                try take(slot, refresh)
            case .session, .firstSeen, .ticket, .permission, .place: break
            }
        } catch {
            say(slot, ServerMessage.error(refused(slot, error, refresh.ref)))
        }
    }

    /// The token takes the place of the credential.
    private func take(_ slot: UInt32, _ refresh: Refresh) throws(Refusal) {
        let identity = refresh.identity
        // Its end, its key or its freshness may have gone while Redis was asked.
        if let expires = identity.expires, expires <= wall { throw Refusal(.expired, "it ended during the refresh") }
        guard keysInForce.covers(refresh.key) else { throw Refusal(.unknownKey, "the key was withdrawn meanwhile") }
        try checkStepUp(slot, identity)
        guard let old = registry.identity(slot) else { throw Refusal(.badRequest, "the connection is not registered") }
        // Entered under its ids first, then held against the replica: a decision that the replica lacks finds the entry.
        noteConnected(slot)
        let presented = shared.presented(wall: wall)
        guard registry.update(slot, identity, presented: presented) else { return closeForeign(slot) }
        switch verdict(slot, on: identity, presented: presented) {
        case nil: dropDemand(slot)
        // It was not there when the token was shown: its own deadline is set, or is on its way to this loop.
        case .reauthenticationRequired: break
        case let verdict?: return condemn(slot, Closing(verdict.outcome))
        }
        lives[Int(slot)].key = refresh.key
        leaveSession(slot)
        lives[Int(slot)].ends = nil
        armNotice(slot)
        setLifeDeadline(slot)
        // A client that refreshes at once whenever it is told must not be told at once again.
        if let ends = lives[Int(slot)].ends { shortenNotice(slot, toHalfOf: ends.since(now)) }
        takePermissions(slot, from: old, to: identity)
        leaveRooms(slot) { !isFresh(identity, for: $0) }
        guard lives[Int(slot)].phase == .live else { return }
        say(
            slot,
            ServerMessage.refreshed(
                expires: identity.expires,
                permissions: knownPermissions(slot, identity),
                roles: configuration.roles,
                ref: refresh.ref
            )
        )
        if lives[Int(slot)].phase == .live { setLifeDeadline(slot) }
    }

    /// A token of somebody else: whoever sends it is not whom the connection was opened for.
    private func closeForeign(_ slot: UInt32) {
        _ = refused(slot, Refusal(.expired, "a refresh came with another user's token"), nil)
        condemn(slot, Closing(.expired, detail: "The token is another user's."))
    }

    /// Counts and reports a token that is not taken.
    /// - Returns: what the client is told: the code, and no more than it says.
    private func refused(_ slot: UInt32, _ refusal: Refusal, _ ref: [UInt8]?) -> MessageRefusal {
        countFailure(stream(slot), refusal.outcome)
        shared.report(.refreshRefused(connectionID(slot), lives[Int(slot)].address, refusal))
        let row = refusal.outcome.row
        let code = row.status == 503 ? MessageRefusal.Code.unavailable : .forbidden
        return MessageRefusal(code, "\(refusal.outcome.rawValue): \(row.title)", ref: ref)
    }

    // MARK: - What follows from a credential

    /// Whether the token would open the resource that the connection is bound to.
    private func checkStepUp(_ slot: UInt32, _ identity: Identity) throws(Refusal) {
        guard let resource = lives[Int(slot)].resource, !isFresh(identity, for: resource) else { return }
        throw Refusal(.reauthenticationRequired, "the resource needs a fresher sign-in")
    }

    private func isFresh(_ identity: Identity, for resource: Identifier) -> Bool {
        configuration.stepUp.admits(
            resource,
            authenticated: identity.authenticated,
            isMFAVerified: nil,
            now: wall,
            leeway: configuration.tokens.leeway
        )
    }

    /// A token has taken the place of the session that admitted the connection: what becomes of that session concerns it no more.
    private func leaveSession(_ slot: UInt32) {
        lives[Int(slot)].isOfSession = false
        lives[Int(slot)].wasUsed = false
        if !boundClients.isEmpty { boundClients[slot] = nil }
        if !unverified.isEmpty { unverified.remove(slot) }
    }

    /// The connection is over.
    func forgetRefresh(_ slot: UInt32) {
        if !refreshes.isEmpty { refreshes[slot] = nil }
        dropDemand(slot)
    }

    // MARK: - The handshake's time

    /// Keeps when the handshake was: from here on the registry knows when another credential was shown.
    func noteConnected(_ slot: UInt32) {
        guard lives[Int(slot)].connected == 0, let presented = registry.presented(slot) else { return }
        let ago = max(0, wall.since(presented).count) / SweepWheel.tick.count
        lives[Int(slot)].connected = max(1, ticks(now).subtractingClamped(UInt32(clamping: ago)))
    }

    /// When the handshake was, where the registry does not know it; nil: it does.
    func connectedAt(_ slot: UInt32) -> WallTime? {
        let connected = lives[Int(slot)].connected
        guard connected > 0 else { return nil }
        return wall + Milliseconds(-Int64(ticks(now).subtractingClamped(connected)) * SweepWheel.tick.count)
    }
}

extension Question {
    /// How its answer comes to the loop that asked.
    func answered(_ stream: StreamID, _ answer: Answer) -> LoopMessage {
        if case .refresh = self { return .refreshAnswered(stream, answer) }
        return .answered(stream, answer)
    }
}

/// The one question that is asked at every handshake.
extension StandingDecisions {
    /// The order in which ids are looked up: those that most decisions are against first.
    private static let fields: [Identity.Field] = [
        .token, .tokenHash, .session, .user, .device, .tenant, .key, .issuer,
    ]

    /// What stands against a credential that is presented now.
    ///
    /// - Parameters:
    ///   - address: where it comes from.
    ///   - presented: the time of the handshake: a credential counts as issued no later than it is shown.
    ///   - now: Redis' time, by which decisions expire.
    public func verdict(
        on identity: Identity,
        from address: IPAddress?,
        presented: WallTime,
        now: WallTime
    ) -> Verdict? {
        var worst: Verdict?
        func take(_ verdict: Verdict) {
            if worst == nil || worst == .reauthenticationRequired || verdict == .blocked { worst = verdict }
        }
        if compact.count > 0 {
            for field in Self.fields where identity.has(field) {
                compact.forEach(field, of: identity, now: now) { standing in
                    guard standing.expires.map({ $0 > now }) ?? true else { return }
                    let (verdict, covers) = (standing.verdict, standing.covers)
                    if Self.covers(verdict, covers, identity, presented: presented) { take(verdict) }
                }
            }
        }
        general.forEachCandidate(identity, address) { entry in
            guard worst != .blocked else { return }
            if covers(entry, identity, from: address, presented: presented, now: now) { take(entry.verdict) }
        }
        return worst
    }

    func covers(
        _ entry: Entry,
        _ identity: Identity,
        from address: IPAddress?,
        presented: WallTime,
        now: WallTime
    ) -> Bool {
        if let expires = entry.expires, expires <= now { return false }
        guard entry.select.matches(identity, from: address) else { return false }
        if let except = entry.except, except.matches(identity, from: address) { return false }
        return Self.covers(entry.verdict, entry.covers, identity, presented: presented)
    }

    /// Whether a credential is old enough to be covered. It counts as issued, and its user as signed in, no later than it is shown.
    private static func covers(
        _ verdict: Verdict,
        _ covers: WallTime?,
        _ identity: Identity,
        presented: WallTime
    ) -> Bool {
        if verdict == .reauthenticationRequired {
            guard let authenticated = identity.authenticated, let covers else { return true }
            return min(authenticated, presented) < covers
        }
        return identity.wasIssued(upTo: covers, presented: presented)
    }

    // MARK: - Expiry

    private static let forgottenAtOnce = 2000

    /// Forgets what has ended by Redis' time, a part of it a call.
    public mutating func expire(now: WallTime) {
        for event in compact.expire(now: now) { forget(event) }
        compact.gather(reading: reading)
        for event in general.expire(now: now, atMost: Self.forgottenAtOnce) { forget(event) }
        for slot in endingHours.passed(now, atMost: Self.forgottenAtOnce) {
            guard let end = endings.remove(slot) else { continue }
            endingSlots[end.what] = nil
            if case .unblock = end.what { forget(end.event) }
        }
    }
}

/// The replica: every decision that stands against a credential, as the log has it. It answers one question, at every handshake:
/// does anything stand against this identity?
public struct StandingDecisions: Sendable {
    /// What stands against an identity.
    public enum Verdict: Equatable, Sendable {
        case revoked
        case blocked
        case reauthenticationRequired

        public var outcome: Outcome {
            switch self {
            case .revoked: .revoked
            case .blocked: .blocked
            case .reauthenticationRequired: .reauthenticationRequired
            }
        }
    }

    /// How long a decision stands that does not say it itself.
    public struct Lifetimes: Equatable, Sendable {
        /// `guarantee.retention`: longer than any token lives.
        public var retention: Milliseconds
        /// `sessions.longest_life`.
        public var longestSession: Milliseconds

        public init(
            retention: Milliseconds = .seconds(25 * 3600),
            longestSession: Milliseconds = .seconds(30 * 86400)
        ) {
            self.retention = retention
            self.longestSession = longestSession
        }

        /// Of a decision that a session can match, which may outlive every token.
        var longest: Milliseconds { max(retention, longestSession) }
    }

    struct Entry {
        var verdict: Verdict
        var select: Selector
        var except: Selector?
        /// Credentials issued (or, for a reauthentication, authenticated) up to here are covered; nil: all.
        var covers: WallTime?
        var order: Int64
        var expires: WallTime?
        var event: Identifier
        /// Whether the log has not been seen to hold it: then its order is a guess.
        var isProvisional: Bool
        /// Of a reauthentication.
        var within = Milliseconds(0)
        /// Why and by whom, in `remarks`.
        var remark: UInt16 = 0
        /// The last reading of everything that found it, or the one that was the last when it came.
        var reading: UInt16 = 0
        /// Whether the channel alone has told of it: the log has not been read to hold it.
        var isHeard = false
    }

    /// What takes others away, and is kept so that they stay away.
    private struct Ending {
        var order: Int64
        var expires: WallTime
        var event: Identifier
        var remark: UInt16
        var reading: UInt16
    }

    /// The fields that an entry may be found by, the narrowest first.
    private static let indexed: [Identity.Field] = [.token, .tokenHash, .session, .user, .device, .tenant]

    /// The index an entry stands in: the narrowest field of its selector.
    private enum Place: Hashable {
        case id(Identity.Field, Identifier)
        case broad
    }

    /// Those against exactly one id: nearly all.
    private var compact: CompactDecisions
    /// All others.
    private var entries: [Place: [Entry]] = [:]
    private var places: [Identifier: Place] = [:]
    /// Selectors whose blocks were lifted, and up to which order: a block that comes late, from a copy or another link, stays lifted.
    private var unblocked: [Selector: Ending] = [:]
    private var lifted: [Identifier: Ending] = [:]
    /// What ends in which hour, so that expiry looks at nothing that stays.
    private var ending: [Int64: Set<Identifier>] = [:]
    private var nextHour: Int64 = .min
    private var remarks = Remarks()
    /// Counts the readings of everything; what the present one has not found, the log lacks.
    private var reading: UInt16 = 1
    /// What no longer counts, and may still lie in Redis.
    private var forgotten: [Identifier] = []
    private let lifetimes: Lifetimes

    /// More are not kept: they are met again with the next reading of everything.
    private static let mostForgotten = 10_000

    public init(lifetimes: Lifetimes = Lifetimes()) {
        self.lifetimes = lifetimes
        compact = CompactDecisions(lifetimes: lifetimes)
    }

    /// How many decisions stand; those against one id that have ended may be among them for a while.
    public var count: Int {
        places.count + compact.count
    }

    /// The bytes that the decisions against one id take, tables included.
    public var compactByteCount: Int {
        compact.byteCount
    }

    /// Whether the decision of that event is held.
    public func holds(_ event: Identifier) -> Bool {
        held(event) != nil
    }

    /// Whether the decision of that event still stands.
    public func stands(_ event: Identifier, now: WallTime) -> Bool {
        guard let entry = held(event) else { return false }
        return entry.expires.map { $0 > now } ?? true
    }

    /// The events of decisions that count no more since this was asked last: `P:standing` need not hold them any longer.
    public mutating func takeForgotten() -> [Identifier] {
        defer { forgotten = [] }
        return forgotten
    }

    /// Whether what is held of that event is a guess that the log has yet to bring.
    public func isGuess(_ event: Identifier) -> Bool {
        held(event)?.isProvisional ?? false
    }

    private func held(_ event: Identifier) -> Entry? {
        if let row = compact.row(of: event) { return Entry(row) }
        guard let place = places[event] else { return nil }
        return entries[place]?.first { $0.event == event }
    }

    /// Whether a decision that came is to be told to the loops: one that has ended, or was lifted by a later one, touches nobody.
    public func counts(_ logged: LoggedEvent, now: WallTime) -> Bool {
        switch logged.event.decision {
        case .revoke, .block, .reauthenticate: stands(logged.key, now: now)
        default: true
        }
    }

    // MARK: - Applying

    /// Takes up a decision. One that is known already is taken up again with its order: it may have been enforced before the log had it.
    ///
    /// - Parameters:
    ///   - event: the event's id, or the one that stands for it.
    ///   - order: the decision's `o`, in ms of Redis' time.
    ///   - isProvisional: whether the order is a guess, for an event that was only published. What the log says replaces it.
    public mutating func apply(_ decision: Decision, event: Identifier, order: Int64, isProvisional: Bool = false) {
        let logged = LoggedEvent(key: event, order: order, event: Event(id: event, decision: decision))
        apply(logged, isProvisional: isProvisional, isRead: !isProvisional)
    }

    /// Takes up a decision.
    /// - Parameter isRead: whether the log or the standing decisions of Redis were read to hold it.
    public mutating func apply(_ logged: LoggedEvent, isProvisional: Bool = false, isRead: Bool = true) {
        let (event, order) = (logged.key, logged.order)
        let appended = WallTime(milliseconds: order)
        let remark = remarks.note(reason: logged.event.reason, actor: logged.event.actor)
        func entry(
            _ verdict: Verdict,
            _ select: Selector,
            _ except: Selector?,
            covers: WallTime?,
            expires: WallTime?,
            within: Milliseconds = Milliseconds(0)
        ) -> Entry {
            Entry(
                verdict: verdict,
                select: select,
                except: except,
                covers: covers,
                order: order,
                expires: expires,
                event: event,
                isProvisional: isProvisional,
                within: within,
                remark: remark,
                reading: reading,
                isHeard: !isRead
            )
        }
        let end = Ending(
            order: order,
            expires: appended + lifetimes.longestSession,
            event: event,
            remark: remark,
            reading: reading
        )
        switch logged.event.decision {
        case .revoke(let revocation):
            let covers: WallTime? =
                switch revocation.issuedBefore {
                case .append: appended
                case .time(let time): time
                case .never: nil
                }
            let expires = revocation.expires ?? ending(of: revocation.select, appended)
            insert(entry(.revoked, revocation.select, revocation.except, covers: covers, expires: expires))
        case .block(let select, let except, let until):
            if let lift = unblocked[select], lift.order >= order {
                // Under its id the log holds a later block: one that was only heard says nothing about that.
                if !isRead, let known = held(event), !known.isHeard, known.order > lift.order { return }
                forget(event)
                return remove(event)
            }
            insert(entry(.blocked, select, except, covers: nil, expires: until))
        case .unblock(let select):
            unblock(select, end)
        case .reauthenticate(let select, let except, let within):
            let expires = ending(of: select, appended)
            insert(
                entry(
                    .reauthenticationRequired,
                    select,
                    except,
                    covers: appended,
                    expires: expires,
                    within: within
                )
            )
        case .lift(let other):
            lifted[other] = Self.later(end, lifted[other])
            // The same payload published anew has the same id: a later decision is not the one that was lifted.
            if let known = held(other), known.isProvisional || known.order <= order { remove(other) }
        case .permit, .notify, .disconnect:
            return
        }
    }

    private func ending(of select: Selector, _ appended: WallTime) -> WallTime {
        appended + (select.canMatchSession ? max(lifetimes.retention, lifetimes.longestSession) : lifetimes.retention)
    }

    private mutating func unblock(_ select: Selector, _ end: Ending) {
        unblocked[select] = Self.later(end, unblocked[select])
        let general = entries[Self.place(of: select)] ?? []
        let against = select.only.map { compact.rows($0.field, $0.id).map(Entry.init) } ?? []
        for entry in general + against
        where entry.verdict == .blocked && entry.select == select && entry.order <= end.order {
            forget(entry.event)
            remove(entry.event)
        }
    }

    private mutating func forget(_ event: Identifier) {
        if forgotten.count < Self.mostForgotten { forgotten.append(event) }
    }

    /// The one of the greater order; of the same event, with the later of both readings.
    private static func later(_ new: Ending, _ known: Ending?) -> Ending {
        guard let known, known.order >= new.order else { return new }
        var kept = known
        if known.event == new.event { kept.reading = max(known.reading, new.reading) }
        return kept
    }

    private mutating func insert(_ new: Entry) {
        if let lift = lifted[new.event], lift.order >= new.order {
            if let known = held(new.event), known.isProvisional || known.order <= lift.order { remove(new.event) }
            return
        }
        var new = new
        if let known = held(new.event) {
            // The log says what stands under an id: another decision that was only heard under it does not take its place.
            let isOther = !known.isProvisional && !known.isSame(as: new)
            if isOther, new.isHeard, !known.isHeard { return }
            let isCorrection = isOther && known.isHeard && !new.isHeard
            new.isHeard = new.isHeard && known.isHeard
            if !known.isProvisional, !isCorrection, new.isProvisional || known.order > new.order {
                return setFound(reading: new.reading, isHeard: new.isHeard, of: new.event)
            }
            remove(new.event)
        }
        if let row = new.row, compact.insert(row) { return }
        let place = Self.place(of: new.select)
        entries[place, default: []].append(new)
        places[new.event] = place
        if let expires = new.expires { ending[Self.hour(of: expires), default: []].insert(new.event) }
    }

    private mutating func setFound(reading: UInt16, isHeard: Bool, of event: Identifier) {
        compact.setFound(reading: reading, isHeard: isHeard, of: event)
        guard let place = places[event], let index = entries[place]?.firstIndex(where: { $0.event == event }) else {
            return
        }
        entries[place]?[index].reading = reading
        entries[place]?[index].isHeard = isHeard
    }

    private mutating func remove(_ event: Identifier) {
        if compact.remove(event) != nil { return }
        guard let place = places.removeValue(forKey: event) else { return }
        entries[place]?.removeAll { $0.event == event }
        if entries[place]?.isEmpty == true { entries[place] = nil }
    }

    // MARK: - What the log lacks

    /// A reading of everything begins.
    public mutating func beginReading() {
        // 0 is what nothing has found. That one of 65,535 readings is taken for another makes a copy that is not needed, or waits for the next.
        reading = reading == .max ? 1 : reading + 1
    }

    /// What is held and still counts, but was not found since the last reading of everything began: to be put back under its own id and
    /// order. What the log was never seen to hold is left to whoever puts it there.
    public func missing(now: WallTime) -> [LoggedEvent] {
        var missing: [LoggedEvent] = []
        compact.forEachRow { row in
            guard !row.isProvisional, row.reading != reading, row.expires.map({ $0 > now }) ?? true else { return }
            missing.append(copy(Entry(row)))
        }
        for list in entries.values {
            for entry in list where !entry.isProvisional && entry.reading != reading {
                if let expires = entry.expires, expires <= now { continue }
                missing.append(copy(entry))
            }
        }
        for (select, end) in unblocked where end.reading != reading && end.expires > now {
            missing.append(copy(end, .unblock(select)))
        }
        for (event, end) in lifted where end.reading != reading && end.expires > now {
            missing.append(copy(end, .lift(event: event)))
        }
        return missing.sorted { ($0.order, $0.key.description) < ($1.order, $1.key.description) }
    }

    private func copy(_ entry: Entry) -> LoggedEvent {
        let decision: Decision
        switch entry.verdict {
        case .revoked:
            let usual = ending(of: entry.select, WallTime(milliseconds: entry.order))
            decision = .revoke(
                .init(
                    select: entry.select,
                    except: entry.except,
                    issuedBefore: entry.covers.map { .time($0) } ?? .never,
                    expires: entry.expires == usual ? nil : entry.expires
                )
            )
        case .blocked: decision = .block(entry.select, except: entry.except, until: entry.expires)
        case .reauthenticationRequired:
            decision = .reauthenticate(entry.select, except: entry.except, within: entry.within)
        }
        return logged(entry.event, entry.order, entry.remark, decision)
    }

    private func copy(_ end: Ending, _ decision: Decision) -> LoggedEvent {
        logged(end.event, end.order, end.remark, decision)
    }

    private func logged(_ key: Identifier, _ order: Int64, _ remark: UInt16, _ decision: Decision) -> LoggedEvent {
        // An id that is made of the payload stands beside the event, never in it.
        let id = key.bytes.starts(with: "h:".utf8) ? nil : key
        let (reason, actor) = remarks[remark]
        return LoggedEvent(
            key: key,
            order: order,
            event: Event(id: id, decision: decision, actor: actor, reason: reason)
        )
    }

    private static func place(of select: Selector) -> Place {
        for field in indexed {
            if let id = select.ids[field] { return .id(field, id) }
        }
        return .broad
    }

    // MARK: - Asking

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
            for field in Self.indexed where identity.has(field) {
                compact.forEach(field, of: identity) { standing in
                    guard standing.expires.map({ $0 > now }) ?? true else { return }
                    let (verdict, covers) = (standing.verdict, standing.covers)
                    if Self.covers(verdict, covers, identity, presented: presented) { take(verdict) }
                }
            }
        }
        if entries.isEmpty { return worst }
        func judge(_ place: Place) {
            for entry in entries[place] ?? [] where worst != .blocked {
                if covers(entry, identity, from: address, presented: presented, now: now) { take(entry.verdict) }
            }
        }
        for field in Self.indexed {
            if let id = identity[field] { judge(.id(field, id)) }
        }
        judge(.broad)
        return worst
    }

    private func covers(
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

    /// Forgets what has ended by Redis' time.
    public mutating func expire(now: WallTime) {
        for event in compact.expire(now: now) { forget(event) }
        let hour = Self.hour(of: now)
        // Nothing ends twice an hour: the list of the hour that is passing is looked at when it has passed.
        guard hour > nextHour else { return }
        nextHour = hour
        for past in ending.keys.filter({ $0 < hour }) {
            for event in ending.removeValue(forKey: past) ?? [] {
                guard let place = places[event], let entry = entries[place]?.first(where: { $0.event == event }),
                    let expires = entry.expires, expires <= now
                else { continue }
                forget(event)
                remove(event)
            }
        }
        for end in unblocked.values where end.expires <= now { forget(end.event) }
        unblocked = unblocked.filter { $0.value.expires > now }
        lifted = lifted.filter { $0.value.expires > now }
    }

    private static func hour(of time: WallTime) -> Int64 {
        time.milliseconds / 3_600_000
    }
}

extension Identity {
    /// Whether the credential counts as issued up to `time` (nil: whenever). One that does not say when it was issued does; one
    /// shown at `presented` was issued by then, whatever its issuer's clock says.
    public func wasIssued(upTo time: WallTime?, presented: WallTime) -> Bool {
        guard let time, let issued else { return true }
        return min(issued, presented) <= time
    }
}

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
    }

    private struct Entry {
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
    }

    /// The fields that an entry may be found by, the narrowest first.
    private static let indexed: [Identity.Field] = [.token, .tokenHash, .session, .user, .device, .tenant]

    /// The index an entry stands in: the narrowest field of its selector.
    private enum Place: Hashable {
        case id(Identity.Field, Identifier)
        case broad
    }

    private var entries: [Place: [Entry]] = [:]
    private var places: [Identifier: Place] = [:]
    /// Selectors whose blocks were lifted, and up to which order: a block that comes late, from a copy or another link, stays lifted.
    private var unblocked: [Selector: (order: Int64, expires: WallTime)] = [:]
    private var lifted: [Identifier: (order: Int64, expires: WallTime)] = [:]
    /// What ends in which hour, so that expiry looks at nothing that stays.
    private var ending: [Int64: Set<Identifier>] = [:]
    private var nextHour: Int64 = .min
    private let lifetimes: Lifetimes

    public init(lifetimes: Lifetimes = Lifetimes()) {
        self.lifetimes = lifetimes
    }

    /// How many decisions stand.
    public var count: Int {
        places.count
    }

    /// Whether the decision of that event is held.
    public func holds(_ event: Identifier) -> Bool {
        places[event] != nil
    }

    /// Whether the decision of that event still stands.
    public func stands(_ event: Identifier, now: WallTime) -> Bool {
        guard let place = places[event], let entry = entries[place]?.first(where: { $0.event == event }) else {
            return false
        }
        return entry.expires.map { $0 > now } ?? true
    }

    // MARK: - Applying

    /// Takes up a decision. One that is known already is taken up again with its order: it may have been enforced before the log had it.
    ///
    /// - Parameters:
    ///   - event: the event's id, or the one that stands for it.
    ///   - order: the decision's `o`, in ms of Redis' time.
    ///   - isProvisional: whether the order is a guess, for an event that was only published. What the log says replaces it.
    public mutating func apply(_ decision: Decision, event: Identifier, order: Int64, isProvisional: Bool = false) {
        let appended = WallTime(milliseconds: order)
        switch decision {
        case .revoke(let revocation):
            let covers: WallTime? =
                switch revocation.issuedBefore {
                case .append: appended
                case .time(let time): time
                case .never: nil
                }
            insert(
                Entry(
                    verdict: .revoked,
                    select: revocation.select,
                    except: revocation.except,
                    covers: covers,
                    order: order,
                    expires: revocation.expires ?? ending(of: revocation.select, appended),
                    event: event,
                    isProvisional: isProvisional
                )
            )
        case .block(let select, let except, let until):
            if let lift = unblocked[select], lift.order >= order { return remove(event) }
            insert(
                Entry(
                    verdict: .blocked,
                    select: select,
                    except: except,
                    covers: nil,
                    order: order,
                    expires: until,
                    event: event,
                    isProvisional: isProvisional
                )
            )
        case .unblock(let select):
            unblock(select, order, appended)
        case .reauthenticate(let select, let except, _):
            insert(
                Entry(
                    verdict: .reauthenticationRequired,
                    select: select,
                    except: except,
                    covers: appended,
                    order: order,
                    expires: ending(of: select, appended),
                    event: event,
                    isProvisional: isProvisional
                )
            )
        case .lift(let other):
            lifted[other] = (order, appended + lifetimes.longestSession)
            remove(other)
        case .permit, .notify, .disconnect:
            return
        }
    }

    private func ending(of select: Selector, _ appended: WallTime) -> WallTime {
        appended + (select.canMatchSession ? max(lifetimes.retention, lifetimes.longestSession) : lifetimes.retention)
    }

    private mutating func unblock(_ select: Selector, _ order: Int64, _ appended: WallTime) {
        if let known = unblocked[select], known.order >= order { return }
        unblocked[select] = (order, appended + lifetimes.longestSession)
        let covered = entries[Self.place(of: select)]?.filter {
            $0.verdict == .blocked && $0.select == select && $0.order <= order
        }
        for entry in covered ?? [] { remove(entry.event) }
    }

    private mutating func insert(_ entry: Entry) {
        guard lifted[entry.event] == nil else { return }
        if let place = places[entry.event], let known = entries[place]?.first(where: { $0.event == entry.event }),
            !known.isProvisional, entry.isProvisional || known.order > entry.order
        {
            return
        }
        remove(entry.event)
        let place = Self.place(of: entry.select)
        entries[place, default: []].append(entry)
        places[entry.event] = place
        if let expires = entry.expires { ending[Self.hour(of: expires), default: []].insert(entry.event) }
    }

    private mutating func remove(_ event: Identifier) {
        guard let place = places.removeValue(forKey: event) else { return }
        entries[place]?.removeAll { $0.event == event }
        if entries[place]?.isEmpty == true { entries[place] = nil }
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
        if entries.isEmpty { return nil }
        var worst: Verdict?
        func judge(_ place: Place) {
            for entry in entries[place] ?? [] where worst != .blocked {
                guard covers(entry, identity, from: address, presented: presented, now: now) else { continue }
                if worst == nil || worst == .reauthenticationRequired || entry.verdict == .blocked {
                    worst = entry.verdict
                }
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
        if entry.verdict == .reauthenticationRequired {
            guard let authenticated = identity.authenticated, let covers = entry.covers else { return true }
            return authenticated < covers
        }
        return identity.wasIssued(upTo: entry.covers, presented: presented)
    }

    // MARK: - Expiry

    /// Forgets what has ended by Redis' time.
    public mutating func expire(now: WallTime) {
        let hour = Self.hour(of: now)
        // Nothing ends twice an hour: the list of the hour that is passing is looked at when it has passed.
        guard hour > nextHour else { return }
        nextHour = hour
        for past in ending.keys.filter({ $0 < hour }) {
            for event in ending.removeValue(forKey: past) ?? [] {
                guard let place = places[event], let entry = entries[place]?.first(where: { $0.event == event }),
                    let expires = entry.expires, expires <= now
                else { continue }
                remove(event)
            }
        }
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

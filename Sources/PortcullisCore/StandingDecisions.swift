/// The replica: every decision that stands against a credential, as the log has it. It answers one question, at every handshake:
/// does anything stand against this identity?
public struct StandingDecisions: ~Copyable, Sendable {
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
    struct Ending {
        enum What: Hashable {
            case unblock(Selector)
            case lift(Identifier)
        }

        let what: What
        var order: Int64
        var expires: WallTime
        var event: Identifier
        var remark: UInt16
        var reading: UInt16
    }

    /// Those against exactly one id: nearly all.
    var compact: CompactDecisions
    /// All others.
    var general = GeneralDecisions()
    /// Selectors whose blocks were lifted and decisions that were, and up to which order: what comes late, from a copy or another link, stays
    /// lifted.
    var endings = Slab<Ending>()
    var endingSlots: [Ending.What: Int] = [:]
    var endingHours = ExpiryHours()
    var remarks = Remarks()
    /// Counts the readings of everything; what the present one has not found, the log lacks.
    var reading: UInt16 = 1
    /// What no longer counts, and may still lie in Redis.
    var forgotten: [Identifier] = []
    let lifetimes: Lifetimes

    /// More are not kept: they are met again with the next reading of everything.
    private static let mostForgotten = 10_000

    public init(lifetimes: Lifetimes = Lifetimes()) {
        self.lifetimes = lifetimes
        compact = CompactDecisions(lifetimes: lifetimes)
    }

    /// How many decisions stand; those against one id that have ended may be among them for a while.
    public var count: Int {
        general.count + compact.count
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

    func held(_ event: Identifier) -> Entry? {
        if let row = compact.row(of: event) { return Entry(row) }
        return general.entry(of: event)
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
        func end(_ what: Ending.What) -> Ending {
            Ending(
                what: what,
                order: order,
                expires: appended + lifetimes.longestSession,
                event: event,
                remark: remark,
                reading: reading
            )
        }
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
            if let lift = ending(.unblock(select)), lift.order >= order {
                // Under its id the log holds a later block: one that was only heard says nothing about that.
                if !isRead, let known = held(event), !known.isHeard, known.order > lift.order { return }
                forget(event)
                return remove(event)
            }
            insert(entry(.blocked, select, except, covers: nil, expires: until))
        case .unblock(let select):
            let end = end(.unblock(select))
            take(end)
            unblock(select, upTo: end.order)
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
            take(end(.lift(other)))
            // The same payload published anew has the same id: a later decision is not the one that was lifted.
            if let known = held(other), known.isProvisional || known.order <= order { remove(other) }
        case .permit, .notify, .disconnect:
            return
        }
    }

    func ending(of select: Selector, _ appended: WallTime) -> WallTime {
        appended + (select.canMatchSession ? lifetimes.longest : lifetimes.retention)
    }

    private mutating func unblock(_ select: Selector, upTo order: Int64) {
        var lifted = general.blocks(select, upTo: order)
        if let (field, id) = select.only { lifted += compact.blocks(field, id, upTo: order) }
        for event in lifted {
            forget(event)
            remove(event)
        }
    }

    mutating func forget(_ event: Identifier) {
        if forgotten.count < Self.mostForgotten { forgotten.append(event) }
    }

    func ending(_ what: Ending.What) -> Ending? {
        endingSlots[what].flatMap { endings[$0] }
    }

    /// Keeps the one of the greater order; of the same event, with the later of both readings.
    private mutating func take(_ new: Ending) {
        guard let slot = endingSlots[new.what], let known = endings[slot] else {
            let slot = endings.insert(new)
            endingSlots[new.what] = slot
            return endingHours.insert(slot, new.expires)
        }
        if known.order < new.order {
            endings.update(slot) { $0 = new }
            endingHours.remove(slot, known.expires)
            endingHours.insert(slot, new.expires)
        } else if known.event == new.event {
            endings.update(slot) { $0.reading = max($0.reading, new.reading) }
        }
    }

    private mutating func insert(_ new: Entry) {
        if let lift = ending(.lift(new.event)), lift.order >= new.order {
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
            // Read once more: all of the log is, again and again, and nothing needs to be written anew.
            let isRepeated = !isOther && known.order == new.order && known.remark == new.remark
            if isRepeated, !known.isProvisional, !new.isProvisional {
                return setFound(reading: new.reading, isHeard: new.isHeard, of: new.event)
            }
            if !known.isProvisional, !isCorrection, new.isProvisional || known.order > new.order {
                return setFound(reading: new.reading, isHeard: new.isHeard, of: new.event)
            }
            remove(new.event)
        }
        if let row = new.row, compact.insert(row) { return }
        general.insert(new)
    }

    private mutating func setFound(reading: UInt16, isHeard: Bool, of event: Identifier) {
        compact.setFound(reading: reading, isHeard: isHeard, of: event)
        general.setFound(reading: reading, isHeard: isHeard, of: event)
    }

    mutating func remove(_ event: Identifier) {
        if compact.remove(event) == nil { general.remove(event) }
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

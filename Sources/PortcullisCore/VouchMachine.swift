/// Whether the gate's view of the log can be vouched for: the start gate, the position, the probe, gaps, the epoch, and for which
/// moment the view is confirmed. The lease that follows from it is each loop's own (``LoopLease``).
///
/// Pure and total: it is told what came on the two links and what time it is, and answers what is to be done. It knows the log as
/// pages of entries, not how Redis spells them. An event for which no question is open changes nothing.
public struct VouchMachine: Sendable {
    public enum Link: Equatable, Sendable {
        case command
        case subscription
    }

    public enum Action: Equatable, Sendable {
        /// The link is of no more use. The machine has taken it for lost already.
        case drop(Link, reason: String)
        /// Sets tracking to the present subscriber; what it told of sessions before is uncertain.
        case track
        /// Makes the epoch where there is none.
        case makeEpoch
        /// A reading of everything begins: what it does not find, the log lacks.
        case beginReading
        /// Reads a page of the standing decisions; answered by ``standingRead(_:next:now:random:)``.
        case readStanding(cursor: UInt64)
        /// Reads the epoch and then a page of the log, from an entry (inclusive) or from the start; answered by
        /// ``pageRead(_:epoch:now:random:)``.
        case readPage(from: LogPosition?, count: Int)
        /// Reads the probe's key under tracking, sets it and publishes the nonce to the gate's own channel.
        case sendProbe(nonce: UInt64)
        /// The probe came back after so long: both links are good.
        case proved(Milliseconds)
        /// Into the replica, before anybody is told. What was only heard does not take the place of what was read.
        case apply([LoggedEvent], isRead: Bool = true)
        /// To the loops; but for what no longer counts (``StandingDecisions/counts(_:now:)``).
        case tell([LoggedEvent])
        /// Redis was emptied or replaced: the versions of permissions begin anew.
        case forgetVersions
        /// The gate hears again: it may admit.
        case hear
        /// Nobody new is admitted; those who are there are served while the lease holds.
        case becomeDeaf(reason: String)
        /// The view was whole when this question was sent. Behind every decision that it covers.
        case vouch(at: BootTime)
        /// While nothing is told of sessions they are read again.
        case readSessions
        /// Puts back what the replica holds and the log was seen to lack; ``missing(_:now:)`` is told how much that is.
        case restore
    }

    enum Subscription: Equatable {
        case lost
        /// Asked for, and to be acknowledged until then.
        case asked(until: BootTime)
        case stands
    }

    struct Probe: Equatable {
        let nonce: UInt64
        let sentAt: BootTime
        var wasInvalidated = false
    }

    /// The question that is open on the command link.
    struct Reading: Equatable {
        enum Stage: Equatable {
            case standing
            case page(from: LogPosition?)
        }

        let stage: Stage
        /// How many entries were asked for: with as many there may be more.
        let count: Int
        let sentAt: BootTime
        /// Whether all is read, from the start.
        let isFull: Bool
        /// The proof behind which it was sent; 0: none.
        let proof: Int
        /// The newest entry that the channel had told of: the log must hold it.
        let expects: LogPosition?
    }

    public let terms: VouchTerms

    var commandIsReady = false
    var subscription = Subscription.lost
    var probe: Probe?
    /// Counts the proofs; `proof` is the one that holds for the present pair of links, 0 where none does.
    var proofs = 0
    var proof = 0
    /// When the probe was sent that came back last.
    var provedAt = BootTime(nanoseconds: .min)
    var nextProbe = BootTime(nanoseconds: .min)

    var reading: Reading?
    var mustReadAgain = false
    var nextRead = BootTime(nanoseconds: .min)
    var nextSessions = BootTime(nanoseconds: .max)
    var restoreAt: BootTime?
    var hasReadAll = false
    var newestHeard: LogPosition?
    /// Entries that the channel told of and no reading has found yet: one that passes them by shows that the log has lost them.
    var unread: Set<LogPosition> = []
    /// Not before then is all read anew for what the channel alone has told of.
    var nextDoubt = BootTime(nanoseconds: .min)
    var epoch: [UInt8]?
    var recent = RecentEvents()
    /// What was read and is told to the loops when the tail is reached: a block that was lifted meanwhile touches nobody.
    var untold: [LoggedEvent] = []
    var lease: Lease
    /// Whether Redis has said that it is no primary, and no probe has come back since.
    var followsNoPrimary = false

    /// The last entry of the stream that was read. Nothing but reading moves it.
    public internal(set) var position: LogPosition?
    /// Whether the channel brings everything: the subscription stands, a probe has come back by it, and behind that the log was read
    /// to the tail.
    public internal(set) var hears = false
    /// Whether anybody can have been admitted yet.
    public internal(set) var hasVouched = false

    /// Whether the log was read to its tail and nothing is being read: what it does not hold now it has not held.
    public var hasReadToTheTail: Bool {
        hasReadAll && reading == nil
    }

    public init(_ terms: VouchTerms) {
        self.terms = terms
        lease = Lease(length: terms.lease)
    }

    // MARK: - Links

    /// The command link stands.
    public mutating func commandReady(now: BootTime, random: UInt64) -> [Action] {
        guard !commandIsReady else { return [] }
        commandIsReady = true
        var actions = [Action.makeEpoch]
        begin(now, random, &actions)
        if reading == nil, hasVouched { read(now, &actions) }
        return actions
    }

    /// The subscription link stands and has asked for its channels.
    public mutating func subscriptionAsked(now: BootTime) -> [Action] {
        guard subscription == .lost else { return [] }
        subscription = .asked(until: now + terms.patience)
        return []
    }

    /// Redis has acknowledged all channels.
    public mutating func subscribed(now: BootTime, random: UInt64) -> [Action] {
        guard case .asked = subscription else { return [] }
        subscription = .stands
        var actions: [Action] = []
        begin(now, random, &actions)
        return actions
    }

    /// Both links stand: the path from one to the other is tried.
    private mutating func begin(_ now: BootTime, _ random: UInt64, _ actions: inout [Action]) {
        guard commandIsReady, subscription == .stands else { return }
        actions.append(.track)
        sendProbe(now, random, &actions)
    }

    public mutating func commandLost(_ reason: String) -> [Action] {
        guard commandIsReady else { return [] }
        var actions: [Action] = []
        loseCommand(reason, &actions)
        return actions
    }

    public mutating func subscriptionLost(_ reason: String) -> [Action] {
        guard subscription != .lost else { return [] }
        var actions: [Action] = []
        loseSubscription(reason, &actions)
        return actions
    }

    private mutating func loseCommand(_ reason: String, _ actions: inout [Action]) {
        guard commandIsReady else { return }
        commandIsReady = false
        reading = nil
        mustReadAgain = false
        // What was read is enforced, even though the tail was not reached.
        tellUntold(&actions)
        disprove(reason, &actions)
    }

    private mutating func loseSubscription(_ reason: String, _ actions: inout [Action]) {
        guard subscription != .lost else { return }
        subscription = .lost
        disprove(reason, &actions)
    }

    private mutating func disprove(_ reason: String, _ actions: inout [Action]) {
        probe = nil
        proof = 0
        guard hears else { return }
        hears = false
        nextSessions = BootTime(nanoseconds: .min)
        nextRead = BootTime(nanoseconds: .min)
        actions.append(.becomeDeaf(reason: reason))
    }

    private mutating func dropBoth(_ reason: String, _ actions: inout [Action]) {
        if commandIsReady { actions.append(.drop(.command, reason: reason)) }
        if subscription != .lost { actions.append(.drop(.subscription, reason: reason)) }
        loseCommand(reason, &actions)
        loseSubscription(reason, &actions)
    }

    // MARK: - The probe

    mutating func sendProbe(_ now: BootTime, _ random: UInt64, _ actions: inout [Action]) {
        guard probe == nil else { return }
        probe = Probe(nonce: random, sentAt: now)
        nextProbe = now + terms.probeInterval
        actions.append(.sendProbe(nonce: random))
    }

    /// The invalidation of the probe's key came on the subscription.
    public mutating func probeInvalidated() {
        probe?.wasInvalidated = true
    }

    /// A nonce came on the gate's own channel. Behind the invalidation, or tracking does not work.
    public mutating func probeReturned(_ nonce: UInt64, now: BootTime) -> [Action] {
        guard let sent = probe, sent.nonce == nonce, sent.wasInvalidated, subscription == .stands else { return [] }
        var actions: [Action] = []
        let took = now.since(sent.sentAt)
        guard took <= terms.patience else {
            dropBoth(late, &actions)
            return actions
        }
        probe = nil
        actions.append(.proved(took))
        let wasStale = isStale(now)
        provedAt = sent.sentAt
        guard proof == 0 || wasStale else { return actions }
        proofs += 1
        proof = proofs
        followsNoPrimary = false
        // What was written before the subscription stood is read behind the proof.
        if reading == nil { read(now, &actions) } else { mustReadAgain = true }
        return actions
    }

    /// Whether the last proof is too old: a paused process finds links that stand, and a Redis at their end that may be no primary any more.
    func isStale(_ now: BootTime) -> Bool {
        now.since(provedAt) > Milliseconds(terms.probeInterval.count.addingClamped(terms.lease.count))
    }

    /// Redis does not take the probe: it is a replica, has too few of them, or takes no writes.
    /// - Parameter isNoPrimary: whether it says that it is no primary, or one without its replicas. What such a Redis has in its log may
    ///   be old for ever: it confirms nothing until a probe comes back.
    public mutating func probeRefused(_ reason: String, isNoPrimary: Bool) -> [Action] {
        if isNoPrimary { followsNoPrimary = true }
        var actions: [Action] = []
        dropBoth(reason, &actions)
        return actions
    }

    private var late: String { "The probe did not come back within \(terms.patience.count) ms." }

    /// So many decisions are being put back. It is looked again whether they are there, until none is missing: copies get lost as well.
    public mutating func missing(_ count: Int, now: BootTime) {
        if count > 0 { restoreAt = now + terms.lease }
    }

    // MARK: - Time

    /// Time has passed. Costs little where nothing is due.
    /// - Parameter random: for the next nonce.
    public mutating func timePassed(now: BootTime, random: UInt64) -> [Action] {
        var actions: [Action] = []
        if case .asked(let until) = subscription, now >= until {
            let reason = "Redis did not acknowledge the subscription."
            actions.append(.drop(.subscription, reason: reason))
            loseSubscription(reason, &actions)
        }
        // A subscriber of a frozen or half-open Redis looks alive: only a probe that comes back proves the path.
        if let probe, now.since(probe.sentAt) > terms.patience { dropBoth(late, &actions) }
        if let reading, now.since(reading.sentAt) > terms.patience {
            let reason = "Redis did not answer within \(terms.patience.count) ms."
            actions.append(.drop(.command, reason: reason))
            loseCommand(reason, &actions)
        }
        guard commandIsReady else { return actions }
        if subscription == .stands, now >= nextProbe { sendProbe(now, random, &actions) }
        if reading == nil, now >= nextRead, hasVouched || proof > 0 { read(now, &actions) }
        if !hears, hasVouched, now >= nextSessions {
            nextSessions = now + terms.patience
            actions.append(.readSessions)
        }
        if let due = restoreAt, now >= due {
            restoreAt = nil
            actions.append(.restore)
        }
        return actions
    }
}

/// The terms on which a gate vouches (guarantee.md).
public struct VouchTerms: Equatable, Sendable {
    /// L.
    public var lease: Milliseconds
    /// Entries that are read at once while clients are served: taking them up is no long turn.
    public var pageSize = 250
    /// Entries that are read at once before anybody was admitted.
    public var startPageSize = 5000
    public var probeInterval = Milliseconds(1000)
    /// How often a deaf gate reads the log.
    public var deafInterval = Milliseconds(100)
    /// Decisions that are kept back until the tail is read; with more than this they are told earlier.
    public var mostUntold = 20_000
    /// Entries that were heard and not yet read; with more than this all is read anew.
    public var mostUnread = 100_000

    public init(lease: Milliseconds) {
        self.lease = lease
    }

    /// How long a probe, an acknowledgement or a page may take.
    public var patience: Milliseconds { Milliseconds(lease.count / 2) }
    /// How often the lease is renewed.
    public var renewal: Milliseconds { Milliseconds(lease.count / 5) }
}

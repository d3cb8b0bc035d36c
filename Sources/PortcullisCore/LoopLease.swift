/// What one loop may do, as far as the view of the log is confirmed: admit, serve, or only close. It freezes when the lease is over and
/// thaws when it holds again.
public struct LoopLease: Sendable {
    /// `guarantee.mode`.
    public enum Mode: String, CaseIterable, Sendable {
        /// A frozen loop passes nothing.
        case strict
        /// It goes on serving and only alarms.
        case bestEffort = "best_effort"
    }

    /// What the passing of time has brought.
    public enum Change: Equatable, Sendable {
        case nothing
        case froze
        /// Everybody is to be closed: the freeze has lasted for `guarantee.freeze_limit`.
        case expire
        /// After so long a freeze.
        case thawed(Milliseconds)
    }

    public let mode: Mode
    public let freezeLimit: Milliseconds
    public private(set) var lease: Lease
    /// Whether the subscription is not proved: nobody new is admitted.
    public var isDeaf = true
    /// When the loop saw that its lease was over; nil while it holds, and before the first.
    public private(set) var frozenAt: BootTime?
    /// When the lease ended that is over.
    private var endedAt: BootTime?
    private var hasExpired = false

    public init(length: Milliseconds, mode: Mode = .strict, freezeLimit: Milliseconds = .seconds(60)) {
        lease = Lease(length: length)
        self.mode = mode
        self.freezeLimit = freezeLimit
    }

    public var isFrozen: Bool {
        frozenAt != nil
    }

    /// The view was whole when a question was sent at that time; false where the answer came too late to count.
    public mutating func renew(sentAt: BootTime, now: BootTime) -> Bool {
        lease.renew(sentAt: sentAt, now: now)
    }

    /// Up to when bytes of clients may pass (exclusive); the least time before the first confirmation.
    public var servesUntil: BootTime {
        guard let vouchedAt = lease.vouchedAt else { return BootTime(nanoseconds: .min) }
        return mode == .bestEffort ? BootTime(nanoseconds: .max) : vouchedAt + lease.length
    }

    /// Whether a byte of a client may be read or written at this moment.
    public func mayServe(at now: BootTime) -> Bool {
        now < servesUntil
    }

    /// Whether a handshake may be admitted at this moment.
    public func mayAdmit(at now: BootTime) -> Bool {
        switch mode {
        case .strict: !isDeaf && mayServe(at: now)
        // Once it has vouched: the start gate stands in every mode.
        case .bestEffort: mayServe(at: now)
        }
    }

    /// Looks at the clock. To be called at least once a turn, behind the mail.
    public mutating func timePassed(now: BootTime) -> Change {
        guard let vouchedAt = lease.vouchedAt else { return .nothing }
        if lease.holds(at: now) {
            guard frozenAt != nil, let endedAt else { return .nothing }
            frozenAt = nil
            hasExpired = false
            return .thawed(now.since(endedAt))
        }
        guard let frozenAt else {
            self.frozenAt = now
            endedAt = vouchedAt + lease.length
            return .froze
        }
        // Counted from when it was seen: a process that was paused for an hour has not yet tried to vouch again.
        guard mode == .strict, !hasExpired, now.since(frozenAt) >= freezeLimit else { return .nothing }
        hasExpired = true
        return .expire
    }
}

/// How long a gate may go on believing what it has read: from the moment the question was *sent* that confirmed it, on CLOCK_BOOTTIME.
public struct Lease: Equatable, Sendable {
    public let length: Milliseconds
    /// When the last question was sent whose answer confirmed the view; nil before the first.
    public private(set) var vouchedAt: BootTime?

    public init(length: Milliseconds) {
        self.length = length
    }

    /// An answer came that confirms the view as of `sentAt`. One older than the lease is thrown away (false): it may have been on its
    /// way while decisions passed it.
    public mutating func renew(sentAt: BootTime, now: BootTime) -> Bool {
        guard now.since(sentAt) < length else { return false }
        if let vouchedAt, vouchedAt >= sentAt { return true }
        vouchedAt = sentAt
        return true
    }

    /// The view is known to be incomplete: nothing vouches until the next answer.
    public mutating func drop() {
        vouchedAt = nil
    }

    /// Whether the view is confirmed.
    public func holds(at now: BootTime) -> Bool {
        guard let vouchedAt else { return false }
        return now.since(vouchedAt) < length
    }
}

/// When a silent connection is pinged and when it is given up. A storm brings thousands within the same moment: their pings are spread, so
/// that they do not go on coming together.
public struct Heartbeat: Equatable, Sendable {
    public let interval: Milliseconds

    public init(_ interval: Milliseconds) {
        self.interval = interval
    }

    /// After how much silence a connection is pinged: an interval less up to a tenth of it, another part for each slot.
    public func pingAfter(_ slot: UInt32) -> Milliseconds {
        // The golden ratio's hash: slots that follow each other are far apart.
        let phase = Int64((slot &* 0x9E37_79B1) >> 22)
        return Milliseconds(interval.count - interval.count.multipliedClamped(by: phase) / 10_240)
    }

    /// After how much silence a connection is closed: two intervals, whenever its ping was.
    public var closeAfter: Milliseconds {
        Milliseconds(interval.count.multipliedClamped(by: 2))
    }
}

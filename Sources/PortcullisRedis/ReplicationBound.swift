public import PortcullisCore

/// What holds when the primary is failed over while it goes on living (guarantee.md, *Which primary*), by Redis' own settings.
public enum ReplicationBound: Equatable, Sendable {
    /// A primary that is cut off takes no more writes after `min-replicas-max-lag`: a decision is enforced within this time.
    case bounded(Milliseconds)
    /// A primary that is cut off goes on taking writes.
    case unbounded
    /// It could not be read: Redis' words.
    case unknown(String)

    /// - Parameter reply: the answer to `CONFIG GET min-replicas-*`.
    public init(_ reply: RESPValue, lease: Milliseconds) {
        if let error = reply.errorText {
            self = .unknown(error)
            return
        }
        var settings: [String: Int64] = [:]
        let words = reply.array ?? []
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            if let name = words[index].text, let value = words[index + 1].text { settings[name] = Int64(value) }
        }
        guard let least = settings["min-replicas-to-write"], let lag = settings["min-replicas-max-lag"] else {
            self = .unknown("CONFIG GET does not name them")
            return
        }
        // A lag of 0 turns the rule off.
        guard least > 0, lag > 0 else {
            self = .unbounded
            return
        }
        self = .bounded(Milliseconds(lease.count.addingClamped(lag.multipliedClamped(by: 1000))))
    }
}

/// `WAIT`: how many replicas have what this connection has written.
public enum WaitCommand {
    /// - Parameter patience: how long Redis may wait for them.
    public static func command(_ replicas: Int, patience: Milliseconds) -> Command {
        Command("WAIT", String(replicas), String(patience.count))
    }
}

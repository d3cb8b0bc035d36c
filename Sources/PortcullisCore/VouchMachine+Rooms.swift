/// What messages in rooms need to know of the log.
extension VouchMachine {
    /// The newest entry that was read or heard of: what is said from here on is said behind it.
    public var newestKnown: LogPosition {
        max(position ?? .zero, newestHeard ?? .zero)
    }

    /// Whether the log was read up to an entry, and all that it holds up to there has been told to the loops.
    public func hasTold(upTo entry: LogPosition) -> Bool {
        untold.isEmpty && position ?? .zero >= entry
    }
}

extension StandingDecisions {
    /// Takes up an event that was only published, under an order that is a guess.
    ///
    /// - Returns: whether it is to be enforced. One that the log is known to hold under the id that its publisher gave it came late or
    ///   was repeated: it is the decision that it was. With the time of today it would close who has signed in since. An id that is
    ///   made of the payload (`h:`) tells no repetition from a new decision.
    public mutating func applyBare(_ logged: LoggedEvent) -> Bool {
        if logged.event.id == logged.key, holds(logged.key), !isGuess(logged.key) { return false }
        apply(logged, isProvisional: true, isRead: false)
        return true
    }
}

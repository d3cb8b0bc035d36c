import Testing

/// Real gates, a real Redis and what can happen to them. One test at a time: each has bounds in time to keep.
@Suite(.serialized) enum Chaos {
    /// Runs a test anew where the machine gave it no processor for so long that its times mean nothing; the third time is the last.
    static func measured(_ body: () throws -> Void) throws {
        for _ in 0..<2 {
            do {
                return try body()
            } catch let error as World.Unmeasured {
                print("Again, for \(error.description)")
            }
        }
        try body()
    }
}

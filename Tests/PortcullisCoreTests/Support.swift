import PortcullisCore

/// SplitMix64: the same numbers for the same seed on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

func ms(_ count: Int64) -> WallTime {
    WallTime(milliseconds: count)
}

func boot(ms count: Int64) -> BootTime {
    BootTime(nanoseconds: count * 1_000_000)
}

extension StandingDecisions {
    /// All that the log lacks, found in slices of one row each.
    func missing(now: WallTime) -> [LoggedEvent] {
        var search = searchForMissing()
        var missing: [LoggedEvent] = []
        while !search.isOver { missing += self.missing(&search, now: now, rows: 1, copies: 1) }
        return missing.sorted { ($0.order, $0.key.description) < ($1.order, $1.key.description) }
    }
}

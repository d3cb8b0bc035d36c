import PortcullisCore

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

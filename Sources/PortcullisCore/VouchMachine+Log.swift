/// The channel hurries, the stream decides.
extension VouchMachine {
    // MARK: - Reading

    /// Reads what has come behind the position, at once: somebody may vouch now who could not before.
    public mutating func readNow(now: BootTime) -> [Action] {
        var actions: [Action] = []
        guard commandIsReady, subscription == .stands else { return [] }
        if reading == nil { read(now, &actions) } else { mustReadAgain = true }
        return actions
    }

    /// Reads what has come behind the position, which itself must be the first row; or all, where nothing is held.
    mutating func read(_ now: BootTime, _ actions: inout [Action]) {
        guard hasReadAll else { return readAll(now, &actions) }
        ask(.page(from: position), isFull: false, now, &actions)
    }

    /// Reads the standing decisions and the log from the start.
    mutating func readAll(_ now: BootTime, _ actions: inout [Action]) {
        hasReadAll = false
        position = nil
        newestHeard = nil
        unread = []
        restoreAt = nil
        actions.append(.beginReading)
        ask(.standing, isFull: true, now, &actions)
    }

    /// How many entries are asked for at once.
    public var pageSize: Int {
        hasVouched ? terms.pageSize : terms.startPageSize
    }

    private mutating func ask(
        _ stage: Reading.Stage,
        isFull: Bool,
        cursor: UInt64 = 0,
        _ now: BootTime,
        _ actions: inout [Action]
    ) {
        reading = Reading(
            stage: stage,
            count: pageSize,
            sentAt: now,
            isFull: isFull,
            proof: proof,
            expects: newestHeard
        )
        nextRead = now + (hears ? terms.renewal : terms.deafInterval)
        switch stage {
        case .standing: actions.append(.readStanding(cursor: cursor))
        case .page(let from): actions.append(.readPage(from: from, count: pageSize))
        }
    }

    /// A page of the standing decisions came.
    /// - Parameter next: the cursor of the next page; 0: there is none.
    public mutating func standingRead(
        _ standing: [LoggedEvent],
        next: UInt64,
        now: BootTime,
        random: UInt64
    ) -> [Action] {
        guard let open = reading, open.stage == .standing else { return [] }
        var actions: [Action] = []
        take(standing, isFull: next != 0, &actions)
        if next != 0 {
            ask(.standing, isFull: true, cursor: next, now, &actions)
        } else {
            ask(.page(from: nil), isFull: true, now, &actions)
        }
        return actions
    }

    /// Whether a page of so many entries is followed by another, before anybody was admitted: nobody is told of what it holds, and whoever
    /// read it may take it up by himself.
    public func isOneOfMany(_ count: Int) -> Bool {
        !hasVouched && count >= reading?.count ?? .max
    }

    /// A page of the log came, with the epoch that stood just before it.
    /// - Parameters:
    ///   - positions: of all its entries, in order.
    ///   - logged: what it holds that is not taken up yet, in order; without what cannot be read, which is told by whoever read it.
    public mutating func pageRead(
        _ positions: [LogPosition],
        _ logged: [LoggedEvent],
        epoch: [UInt8]?,
        now: BootTime,
        random: UInt64
    ) -> [Action] {
        guard let open = reading, case .page(let from) = open.stage else { return [] }
        reading = nil
        var actions: [Action] = []
        if !isSameEpoch(epoch, &actions) {
            // What the gate holds still stands; but the position says nothing about another log.
            readAll(now, &actions)
            return actions
        }
        // Else the log was flushed, deleted, rolled back or trimmed past the position, or the position was forged.
        if let from, positions.first != from {
            readAll(now, &actions)
            return actions
        }
        let isFull = positions.count >= open.count
        take(logged, isFull: isFull, &actions)
        position = positions.last ?? position
        if !unread.isEmpty { for position in positions { unread.remove(position) } }
        if isFull {
            ask(.page(from: position), isFull: open.isFull, now, &actions)
            return actions
        }
        tailReached(open, now, random, &actions)
        return actions
    }

    /// Takes note of the epoch; false where it is another than the one that was known.
    private mutating func isSameEpoch(_ new: [UInt8]?, _ actions: inout [Action]) -> Bool {
        if new == nil { actions.append(.makeEpoch) }
        guard epoch != new else { return true }
        defer { epoch = new }
        guard epoch != nil else { return true }
        recent = RecentEvents()
        actions.append(.forgetVersions)
        return false
    }

    private mutating func tailReached(_ open: Reading, _ now: BootTime, _ random: UInt64, _ actions: inout [Action]) {
        hasReadAll = true
        tellUntold(&actions)
        // The channel told of an entry that the log does not hold (any more): a primary told of it and lost it.
        // Or nobody wrote it: what a message may cost is bounded. Until then nothing is lacking but in the log.
        let passed = max(open.expects ?? .zero, position ?? .zero)
        if now >= nextDoubt, unread.count > terms.mostUnread || unread.contains(where: { $0 <= passed }) {
            nextDoubt = now + terms.lease
            // With the entry, the version that it gave may be lost; or there never was one.
            actions.append(.forgetVersions)
            readAll(now, &actions)
            return
        }
        if open.isFull { restoreAt = now + Milliseconds(Int64(random % UInt64(max(1, terms.renewal.count)))) }
        let isProved = open.proof != 0 && open.proof == proof && !isStale(now)
        // Before the first proof nobody was admitted: there is nothing to vouch for. And what is deaf may go on, but not begin again: whom
        // a paused process finds at the other end must prove itself first.
        let mayGoOn = hasVouched && !followsNoPrimary && lease.holds(at: now)
        if isProved || mayGoOn, lease.renew(sentAt: open.sentAt, now: now) {
            if isProved, !hears {
                hears = true
                hasVouched = true
                nextRead = open.sentAt + terms.renewal
                actions.append(.hear)
            }
            actions.append(.vouch(at: open.sentAt))
        }
        guard mustReadAgain else { return }
        mustReadAgain = false
        read(now, &actions)
    }

    // MARK: - Decisions

    /// Decisions that were read: into the replica at once, to the loops when the tail is reached.
    private mutating func take(_ all: [LoggedEvent], isFull: Bool, _ actions: inout [Action]) {
        guard !all.isEmpty else { return }
        actions.append(.apply(all))
        // What is read before anybody was admitted is told to nobody, and of many pages the last is recent enough.
        guard hasVouched || !isFull else { return }
        for entry in all where recent.note(entry, isRead: true).isNew && hasVouched { untold.append(entry) }
        if untold.count > terms.mostUntold { tellUntold(&actions) }
    }

    mutating func tellUntold(_ actions: inout [Action]) {
        guard !untold.isEmpty else { return }
        actions.append(.tell(untold))
        untold = []
    }

    /// The channel brought an entry: enforced at once. Where it does not follow on what is known, something was missed.
    /// - Parameter latest: the last place that the log can have reached; nil: it is not known. Whoever may publish can name any: one that
    ///   cannot be is enforced like another, but says nothing about what the log holds.
    public mutating func heard(_ entry: LogEntry, now: BootTime, latest: LogPosition? = nil) -> [Action] {
        var actions: [Action] = []
        let known = max(position ?? .zero, newestHeard ?? .zero)
        let finding = recent.note(entry.logged, isRead: false)
        if finding == .contradicted || entry.previous.map({ $0 > known }) ?? true {
            if reading != nil {
                mustReadAgain = true
            } else if commandIsReady, hasReadAll {
                read(now, &actions)
            }
        }
        let isNew = finding.isNew
        if latest.map({ entry.position <= $0 }) ?? true {
            newestHeard = max(entry.position, newestHeard ?? .zero)
            // One that stands before the position and is new all the same was not there when the log was read.
            if isNew || entry.position > position ?? .zero, unread.count <= terms.mostUnread {
                unread.insert(entry.position)
            }
        }
        guard isNew else { return actions }
        actions.insert(.apply([entry.logged], isRead: false), at: 0)
        // Before the first whole reading nobody has been admitted: there is nobody to tell of.
        if hasVouched { actions.insert(.tell([entry.logged]), at: 1) }
        return actions
    }
}

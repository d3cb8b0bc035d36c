/// Anti-entropy: what is held and the log was seen to lack.
extension StandingDecisions {
    /// How far a search for what the log lacks has come: over the pages of those against one id, then the others, then what lifts.
    public struct Search: Sendable {
        let reading: UInt16
        var bookmark = CompactDecisions.Bookmark()
        var entry = 0
        var ending = 0
        /// Whether there is nothing more to look at.
        public internal(set) var isOver = false
        /// Whether another reading of everything began: what that one lacks is known at its end, and looked for then.
        public internal(set) var isOvertaken = false
    }

    /// A reading of everything begins.
    public mutating func beginReading() {
        // 0 is what nothing has found. That one of 65,535 readings is taken for another makes a copy that is not needed, or waits for the next.
        reading = reading == .max ? 1 : reading + 1
    }

    /// Begins to look for what the last reading of everything did not find.
    public func searchForMissing() -> Search {
        Search(reading: reading)
    }

    /// The next of what is held and still counts, but was not found since the last reading of everything began: to be put back under its
    /// own id and order. What the log was never seen to hold is left to whoever puts it there.
    ///
    /// What is taken up or removed between two calls disturbs nothing. The decisions of one call are in their order, those of several are not:
    /// each copy brings its own.
    ///
    /// - Parameters:
    ///   - search: goes on from there, and is moved on.
    ///   - now: Redis' time, by which decisions end.
    ///   - rows: how many decisions are looked at; what was found is passed over without being decoded.
    ///   - copies: how many are answered at most.
    public func missing(_ search: inout Search, now: WallTime, rows: Int, copies: Int) -> [LoggedEvent] {
        guard search.reading == reading else {
            (search.isOver, search.isOvertaken) = (true, true)
            return []
        }
        var (rows, copies) = (max(rows, 1), max(copies, 1))
        var missing = compact.missing(
            from: &search.bookmark,
            reading: reading,
            now: now,
            rows: &rows,
            copies: &copies
        ).map { copy(Entry($0)) }
        guard compact.isAtEnd(search.bookmark) else { return ordered(missing) }
        while search.entry < general.end, rows > 0, copies > 0 {
            let entry = general[search.entry]
            search.entry += 1
            rows -= 1
            guard let entry, !entry.isProvisional, entry.reading != reading,
                entry.expires.map({ $0 > now }) ?? true
            else { continue }
            copies -= 1
            missing.append(copy(entry))
        }
        guard search.entry >= general.end else { return ordered(missing) }
        while search.ending < endings.end, rows > 0, copies > 0 {
            let end = endings[search.ending]
            search.ending += 1
            rows -= 1
            guard let end, end.reading != reading, end.expires > now else { continue }
            copies -= 1
            missing.append(copy(end))
        }
        search.isOver = search.ending >= endings.end
        return ordered(missing)
    }

    private func ordered(_ copies: [LoggedEvent]) -> [LoggedEvent] {
        copies.sorted { ($0.order, $0.key.description) < ($1.order, $1.key.description) }
    }

    private func copy(_ entry: Entry) -> LoggedEvent {
        let decision: Decision
        switch entry.verdict {
        case .revoked:
            let usual = ending(of: entry.select, WallTime(milliseconds: entry.order))
            decision = .revoke(
                .init(
                    select: entry.select,
                    except: entry.except,
                    issuedBefore: entry.covers.map { .time($0) } ?? .never,
                    expires: entry.expires == usual ? nil : entry.expires
                )
            )
        case .blocked: decision = .block(entry.select, except: entry.except, until: entry.expires)
        case .reauthenticationRequired:
            decision = .reauthenticate(entry.select, except: entry.except, within: entry.within)
        }
        return logged(entry.event, entry.order, entry.remark, decision)
    }

    private func copy(_ end: Ending) -> LoggedEvent {
        let decision: Decision =
            switch end.what {
            case .unblock(let select): .unblock(select)
            case .lift(let event): .lift(event: event)
            }
        return logged(end.event, end.order, end.remark, decision)
    }

    private func logged(_ key: Identifier, _ order: Int64, _ remark: UInt16, _ decision: Decision) -> LoggedEvent {
        // An id that is made of the payload stands beside the event, never in it.
        let id = key.bytes.starts(with: "h:".utf8) ? nil : key
        let (reason, actor) = remarks[remark]
        return LoggedEvent(
            key: key,
            order: order,
            event: Event(id: id, decision: decision, actor: actor, reason: reason)
        )
    }
}

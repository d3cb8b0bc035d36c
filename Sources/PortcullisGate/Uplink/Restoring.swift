import PortcullisCore
import PortcullisRedis
import PortcullisWire
import Synchronization

/// Anti-entropy: what Redis has lost is put back.
extension Uplink {
    /// Copies that are under way at once.
    private static let restoredAtOnce = 200
    /// Decisions that are looked at in one turn, under the lock that handshakes take: well under 1 ms.
    private static let searchedAtOnce = 20_000

    /// A search for what the log lacks, a slice a turn.
    struct Search {
        var place: StandingDecisions.Search
        var found = 0
    }

    /// Redis has lost what this gate holds: it is put back under its own ids and orders. Another gate may have done it meanwhile.
    func restore() {
        if search != nil || !restoring.isEmpty {
            // What was found before is under way: it is looked again when it is through.
            machine.missing(max(restoring.count, 1), now: now)
        } else {
            search = Search(place: shared.standing.withLock { $0.searchForMissing() })
        }
        restoreSlice()
    }

    private func searchOn() {
        guard var search, restoring.count < Self.restoredAtOnce else { return }
        let redisTime = shared.redisTime()
        let found = shared.standing.withLock {
            $0.missing(&search.place, now: redisTime, rows: Self.searchedAtOnce, copies: Self.restoredAtOnce)
        }
        // The oldest stand last: they are taken from there.
        restoring = found.reversed() + restoring
        let isFirst = search.found == 0
        search.found += found.count
        let isOver = search.place.isOver
        // Told when it is known that something is missing, and once more with how much it was.
        if isFirst ? !found.isEmpty : isOver { shared.report(.restoring(search.found)) }
        self.search = isOver ? nil : search
        if isOver, !search.place.isOvertaken { machine.missing(search.found, now: now) }
    }

    func restoreSlice() {
        guard command.machine.isReady else { return }
        searchOn()
        while pending.count < Self.restoredAtOnce, let copy = restoring.popLast() {
            guard let json = encoded(copy) else { continue }
            let command = AppendScript.command(
                copy.event,
                json: json,
                id: copy.key,
                order: copy.order,
                epoch: newEpoch(),
                keys: keys,
                policy: configuration.appendPolicy
            )
            pending.append(command, .restored(copy))
        }
    }

    /// A copy as JSON, signed anew where events are signed: as of now, for the log takes no old signature.
    private func encoded(_ copy: LoggedEvent) -> [UInt8]? {
        guard let eventKey else { return EventCodec.encode(copy.event, roles: configuration.roles) }
        var event = copy.event
        event.id = copy.key
        event.at = shared.redisTime()
        do throws(EventRejection) {
            return try eventKey.sign(EventCodec.encode(event, roles: configuration.roles))
        } catch {
            shared.report(.eventNotAdopted("\(copy.key) could not be signed: \(error)"))
            return nil
        }
    }

    func restored(_ copy: LoggedEvent, _ value: RESPValue) {
        guard case .refused(let error) = AppendScript.Answer(value) else { return }
        shared.report(.eventNotAdopted("\(copy.key) could not be put back: \(error)"))
    }
}

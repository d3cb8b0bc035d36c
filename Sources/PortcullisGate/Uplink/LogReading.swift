import PortcullisCore
import PortcullisRedis
import PortcullisWire
import Synchronization

/// What was read of the log and of the standing decisions, held against what the script would have written.
extension Uplink {
    /// A page of the standing decisions: a cursor, and a list of ids and entries.
    func standingRead(_ reply: RESPReply) {
        guard reply.list(at: 0) == 2, let cursor = reply.string(at: 1), let next = UInt64(reply.text(cursor)),
            let count = reply.list(at: 2), count % 2 == 0, reply.end(of: 2) == 3 + count
        else { return lost(.command, "The standing decisions cannot be read: \(reply.errorText ?? "no list").") }
        let places = stride(from: 3, to: 3 + count, by: 2)
        guard machine.hasVouched else {
            // Redis makes the next page ready while this one is taken up; nobody is told of either.
            perform(machine.standingRead([], next: next, now: now, random: .random(in: .min ... .max)))
            flush()
            take(places.map { PlacedRow(position: nil, place: $0) }, of: reply, mayInsert: true)
            return
        }
        let odd = takePlain(places.map { PlacedRow(position: nil, place: $0) }, of: reply, mayInsert: false)
        let others = odd.compactMap { self.standing(reply, $0.place) }
        perform(machine.standingRead(others, next: next, now: now, random: .random(in: .min ... .max)))
    }

    /// A page of the log: a list of pairs of an id and a list of names and values.
    func pageRead(_ reply: RESPReply) {
        guard let count = reply.list(at: 0) else {
            return lost(.command, "The log cannot be read: \(reply.errorText ?? "no list").")
        }
        var rows: [PlacedRow] = []
        rows.reserveCapacity(count)
        var at = 1
        for _ in 0..<count {
            guard reply.list(at: at) == 2, let id = reply.string(at: at + 1),
                let position = LogPosition(reply.bytes[id]), reply.list(at: at + 2) != nil
            else { return lost(.command, "The log holds what is no entry.") }
            rows.append(PlacedRow(position: position, place: at + 2))
            at = reply.end(of: at + 2)
        }
        let known = machine.position
        let new = rows.filter { $0.position != known }
        let random = UInt64.random(in: .min ... .max)
        let positions = rows.compactMap(\.position)
        if machine.isOneOfMany(count) {
            perform(machine.pageRead(positions, [], epoch: epoch, now: now, random: random))
            flush()
            take(new, of: reply, mayInsert: true)
            return
        }
        // What is held as it stands there was told when it came; all else the machine deals with.
        let odd = takePlain(new, of: reply, mayInsert: false).compactMap { row in
            row.position.flatMap { logged($0, reply, row.place) }
        }
        perform(machine.pageRead(positions, odd, epoch: epoch, now: now, random: random))
    }

    /// Takes up all of these rows. The order does not matter: decisions that touch each other are told apart by their own.
    private func take(_ rows: [PlacedRow], of reply: RESPReply, mayInsert: Bool) {
        let odd = takePlain(rows, of: reply, mayInsert: mayInsert).compactMap { row in
            row.position.map { logged($0, reply, row.place) } ?? standing(reply, row.place)
        }
        guard !odd.isEmpty else { return }
        shared.standing.withLock { standing in
            for event in odd { standing.apply(event) }
        }
    }

    /// Takes up those that are written as nearly all are.
    /// - Parameter mayInsert: whether one that is not held yet may be taken up without anybody being told.
    /// - Returns: the others.
    private func takePlain(_ rows: [PlacedRow], of reply: RESPReply, mayInsert: Bool) -> [PlacedRow] {
        // A signature needs the whole event.
        guard configuration.eventKey == nil else { return rows }
        let redisTime = shared.knowsRedisTime.load(ordering: .relaxed) ? shared.redisTime() : nil
        return shared.standing.withLock { standing in
            let bytes = reply.bytes.span
            var others: [PlacedRow] = []
            for row in rows {
                guard let plain = row.plain(reply, bytes), plain.order <= latestOrder(row.position, redisTime),
                    standing.take(plain, of: bytes, mayInsert: mayInsert)
                else {
                    others.append(row)
                    continue
                }
            }
            return others
        }
    }

    private func standing(_ reply: RESPReply, _ place: Int) -> LoggedEvent? {
        guard let key = reply.string(at: place), let stored = reply.string(at: place + 1) else { return nil }
        do throws(EventRejection) {
            let json = Array(reply.bytes[stored])
            let entry = try StandingEntry.decode(json, roles: configuration.roles, trust: trust(retention: nil))
            let key = Identifier(bytes: Array(reply.bytes[key]))
            let logged = LoggedEvent(key: key, order: entry.order, event: entry.event)
            try check(logged, behind: nil)
            return logged
        } catch {
            rejected(error, position: "standing")
            return nil
        }
    }

    private func logged(_ position: LogPosition, _ reply: RESPReply, _ place: Int) -> LoggedEvent? {
        let fields = LogFields(reply, place)
        guard let json = fields.event, let key = fields.key, let order = fields.order.flatMap({ Int64(reply.text($0)) })
        else {
            rejected(.badField("e, i or o"), position: position.description)
            return nil
        }
        // 0 is none: what is no number is refused with it.
        let version = fields.version.map { Int64(reply.text($0)) ?? 0 }
        do throws(EventRejection) {
            let trust = trust(retention: configuration.appendPolicy.retention)
            let (roles, bytes) = (configuration.roles, Array(reply.bytes[json]))
            let event = try EventCodec.decode(bytes, roles: roles, mayLackID: true, trust: trust, &eventParser)
            let id = Identifier(bytes: Array(reply.bytes[key]))
            let logged = LoggedEvent(key: id, order: order, version: version, event: event)
            try check(logged, behind: position)
            return logged
        } catch {
            rejected(error, position: position.description)
            return nil
        }
    }

    /// How far an order may be ahead of Redis' time: many decisions at once run ahead of it by a millisecond each.
    private static let orderAhead = Milliseconds.seconds(3600)

    /// Where events are signed the order is not: an old event under a new order is a repeat, of an `unblock` for instance. A copy that is
    /// put back is signed as of now and keeps its old order.
    func checkAge(_ event: Event, at appended: WallTime) throws(EventRejection) {
        guard configuration.eventKey != nil else { return }
        guard let signed = event.at, appended <= signed + Self.orderAhead else { throw .wrongTime }
    }

    /// What the script would not have written. An order of the far future would cover all credentials that are ever issued, and outlive
    /// every decision after it.
    /// - Parameter position: an entry of the stream; ids there never go back, whatever Redis' clock does.
    func check(_ logged: LoggedEvent, behind position: LogPosition?) throws(EventRejection) {
        let (key, order) = (logged.key, logged.order)
        // Entries are applied once, by `i`: under the id of another event this one would hide it.
        guard key.isWellFormed, logged.event.id == nil || logged.event.id == key else { throw .badField("i") }
        if let version = logged.version, !(1...Grant.greatestVersion).contains(version) { throw .badField("version") }
        // Without one nobody could tell which of two is newer.
        if case .permit(let permit) = logged.event.decision, logged.version == nil, permit.version == nil {
            throw .badField("version")
        }
        guard order >= 0 else { throw .badField("o") }
        try checkAge(logged.event, at: WallTime(milliseconds: order))
        // Before Redis has told its time there is nothing to hold it against.
        guard shared.knowsRedisTime.load(ordering: .relaxed) else { return }
        guard order <= latestOrder(position, shared.redisTime()) else { throw .badField("o") }
    }

    private func latestOrder(_ position: LogPosition?, _ redisTime: WallTime?) -> Int64 {
        guard let redisTime else { return .max }
        let entry = WallTime(milliseconds: position.map { Int64(clamping: $0.milliseconds) } ?? 0)
        return (max(redisTime, entry) + Self.orderAhead).milliseconds
    }
}

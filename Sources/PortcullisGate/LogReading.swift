import PortcullisCore
import PortcullisRedis
import PortcullisWire
import Synchronization

/// What was read of the log and of the standing decisions, held against what the script would have written.
extension Uplink {
    func standingRead(_ value: RESPValue) {
        guard let parts = value.array, parts.count == 2, let next = parts[0].text.flatMap({ UInt64($0) }),
            let fields = parts[1].array, fields.count % 2 == 0
        else { return lost(.command, "The standing decisions cannot be read: \(value.errorText ?? "no list").") }
        var standing: [LoggedEvent] = []
        for index in stride(from: 0, to: fields.count, by: 2) {
            guard let key = fields[index].bytes.map(Identifier.init(bytes:)), let stored = fields[index + 1].bytes
            else { continue }
            do throws(EventRejection) {
                let entry = try StandingEntry.decode(stored, roles: configuration.roles, trust: trust(retention: nil))
                let logged = LoggedEvent(key: key, order: entry.order, event: entry.event)
                try check(logged, behind: nil)
                standing.append(logged)
            } catch {
                rejected(error, position: "standing")
            }
        }
        perform(machine.standingRead(standing, next: next, now: now, random: .random(in: .min ... .max)))
    }

    func pageRead(_ value: RESPValue) {
        guard let rows = value.array else {
            return lost(.command, "The log cannot be read: \(value.errorText ?? "no list").")
        }
        let page = rows.compactMap { row -> PageRow? in
            guard let parts = row.array, parts.count == 2, let id = parts[0].bytes,
                let position = LogPosition(Identifier(bytes: id)), let fields = parts[1].array
            else { return nil }
            return PageRow(position: position, logged: position == machine.position ? nil : logged(position, fields))
        }
        guard page.count == rows.count else { return lost(.command, "The log holds what is no entry.") }
        perform(machine.pageRead(page, epoch: epoch, now: now, random: .random(in: .min ... .max)))
    }

    private func logged(_ position: LogPosition, _ fields: [RESPValue]) -> LoggedEvent? {
        var (json, key, order, version): ([UInt8]?, [UInt8]?, Int64?, Int64?)
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            guard let name = fields[index].bytes, let value = fields[index + 1].bytes else { continue }
            switch name.first {
            case UInt8(ascii: "e") where name.count == 1: json = value
            case UInt8(ascii: "i") where name.count == 1: key = value
            case UInt8(ascii: "o") where name.count == 1: order = Int64(String(decoding: value, as: UTF8.self))
            case UInt8(ascii: "v") where name.elementsEqual("version".utf8):
                // 0 is none: what is no number is refused with it.
                version = Int64(String(decoding: value, as: UTF8.self)) ?? 0
            default: break
            }
        }
        guard let json, let key, let order else {
            rejected(.badField("e, i or o"), position: position.description)
            return nil
        }
        do throws(EventRejection) {
            let trust = trust(retention: configuration.appendPolicy.retention)
            let roles = configuration.roles
            let event = try EventCodec.decode(json, roles: roles, mayLackID: true, trust: trust, &eventParser)
            let logged = LoggedEvent(key: Identifier(bytes: key), order: order, version: version, event: event)
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
        let entry = WallTime(milliseconds: position.map { Int64(clamping: $0.milliseconds) } ?? 0)
        let latest = max(shared.redisTime(), entry) + Self.orderAhead
        guard order <= latest.milliseconds else { throw .badField("o") }
    }
}

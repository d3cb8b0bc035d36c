import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization

/// What the machine that vouches decides, done: questions to Redis, decisions into the replica and then to the loops.
extension Uplink {
    private static let mostAdoptionsWaiting = 1000
    /// Copies that are under way at once.
    private static let restoredAtOnce = 200

    func perform(_ actions: [VouchMachine.Action]) {
        for action in actions { perform(action) }
    }

    private func perform(_ action: VouchMachine.Action) {
        switch action {
        case .drop(let link, let reason): lost(link, reason)
        case .track: track()
        case .makeEpoch: pending.append(Command("SET", keys.epoch, newEpoch(), "NX"), .nothing)
        case .beginReading: shared.standing.withLock { $0.beginReading() }
        case .readStanding(let cursor):
            let count = String(machine.terms.pageSize)
            pending.append(Command("HSCAN", keys.standing, String(cursor), "COUNT", count), .standing)
        case .readPage(let from, let count):
            pending.append(Command("GET", keys.epoch), .epoch)
            let start = from?.description ?? "-"
            pending.append(Command("XRANGE", keys.log, start, "+", "COUNT", String(count)), .page)
        case .sendProbe(let nonce): sendProbe(nonce)
        case .proved(let took):
            command.machine.proved()
            subscription.machine.proved()
            lastProbe = took
        case .apply(let events, let isRead):
            shared.standing.withLock { standing in
                for event in events { standing.apply(event, isRead: isRead) }
            }
        case .tell(let events): tell(events)
        case .forgetVersions: shared.tellAll(.versionsLost)
        case .hear:
            isPrimaryNamed = true
            shared.tellAll(.deaf(false))
            shared.report(.vouching(position: machine.position?.description ?? "0-0"))
        case .becomeDeaf(let reason):
            shared.tellAll(.deaf(true))
            shared.report(.notVouching(reason))
        case .vouch(let sentAt): vouch(sentAt)
        case .readSessions: if configuration.sessions != nil { shared.tellAll(.sessionsUncertain) }
        case .restore: restore()
        }
    }

    /// The view was whole at that time; whether it is that of the primary, the sentinels know, where there are any. Without their majority
    /// nobody is admitted, and the lease runs out.
    private func vouch(_ sentAt: BootTime) {
        if let confirmed = primaryConfirmed(sentAt: sentAt) {
            if !isPrimaryNamed {
                isPrimaryNamed = true
                if machine.hears { shared.tellAll(.deaf(false)) }
            }
            shared.tellAll(.vouched(at: confirmed))
        } else if isPrimaryNamed {
            isPrimaryNamed = false
            shared.tellAll(.deaf(true))
            shared.report(.notVouching("No majority of the sentinels names the Redis that is followed."))
        }
        confirmed()
    }

    /// Both links stand: Redis tells the present subscriber of the keys that are read from here on.
    private func track() {
        guard let subscriberID else { return lost(.subscription, "Redis did not say the subscriber's id.") }
        pending.append(Command("CLIENT", "TRACKING", "ON", "REDIRECT", String(subscriberID), "OPTIN"), .tracking)
        if configuration.sessions != nil { shared.tellAll(.sessionsUncertain) }
        askReplication()
        sentinels?.linksStand()
        shared.report(.redisReady)
    }

    private func newEpoch() -> String {
        String(UInt64.random(in: .min ... .max), radix: 16)
    }

    private func confirmed() {
        let (position, redisTime) = (machine.position?.description ?? "", shared.redisTime())
        let (count, forgotten) = shared.standing.withLock { standing in
            standing.expire(now: redisTime)
            return (standing.count, standing.takeForgotten())
        }
        // What no longer counts need not be read any more. Other gates do the same.
        if !forgotten.isEmpty {
            let words = [Array("HDEL".utf8), Array(keys.standing.utf8)] + forgotten.map(\.bytes)
            pending.append(Command(words), .nothing)
        }
        shared.status.withLock { status in
            status.position = position
            status.standing = count
        }
    }

    // MARK: - What was read

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

    /// What the script would not have written. An order of the far future would cover all credentials that are ever issued, and outlive
    /// every decision after it.
    /// - Parameter position: an entry of the stream; ids there never go back, whatever Redis' clock does.
    private func check(_ logged: LoggedEvent, behind position: LogPosition?) throws(EventRejection) {
        let (key, order) = (logged.key, logged.order)
        // Entries are applied once, by `i`: under the id of another event this one would hide it.
        guard key.isWellFormed, logged.event.id == nil || logged.event.id == key else { throw .badField("i") }
        if let version = logged.version, !(1...Grant.greatestVersion).contains(version) { throw .badField("version") }
        guard order >= 0 else { throw .badField("o") }
        // Before Redis has told its time there is nothing to hold it against.
        guard shared.knowsRedisTime.load(ordering: .relaxed) else { return }
        let entry = WallTime(milliseconds: position.map { Int64(clamping: $0.milliseconds) } ?? 0)
        let latest = max(shared.redisTime(), entry) + Self.orderAhead
        guard order <= latest.milliseconds else { throw .badField("o") }
    }

    // MARK: - To the loops

    /// Tells the loops what still counts: an ended or lifted block closes nobody.
    private func tell(_ events: [LoggedEvent]) {
        let redisTime = shared.redisTime()
        let counting = shared.standing.withLock { standing in
            events.filter { standing.counts($0, now: redisTime) }
        }
        for logged in counting {
            let appended = WallTime(milliseconds: logged.order)
            let (event, version) = (logged.event, logged.version)
            decide(event, logged.key, version: version, appended: appended, receipt: event.wantsReceipt)
        }
    }

    private func decide(_ event: Event, _ key: Identifier, version: Int64?, appended: WallTime, receipt: Bool) {
        serial &+= 1
        shared.tellAll(
            .decided(
                Decided(
                    serial: serial,
                    decision: event.decision,
                    event: key,
                    reason: event.reason,
                    message: event.message,
                    version: version,
                    appended: appended,
                    readAt: BootTime(nanoseconds: Clock.boot()),
                    wantsReceipt: receipt
                )
            )
        )
    }

    private func rejected(_ rejection: EventRejection, position: String?) {
        if rejection.isUnknown { unknownEvents += 1 }
        if let position {
            shared.report(.logEntryRejected(position: position, rejection))
        } else {
            shared.report(.eventRejected(rejection))
        }
    }

    // MARK: - The channel

    func pushed(_ push: Push) {
        switch push {
        case .subscribed:
            subscribed += 1
            guard subscribed == Self.channelCount else { break }
            perform(machine.subscribed(now: now, random: .random(in: .min ... .max)))
        case .message(let channel, let payload):
            if channel.elementsEqual(keys.events.utf8) { eventReceived(payload) } else { controlReceived(payload) }
        case .invalidated(let changed):
            let probe = Array(keys.probe(configuration.node).utf8)
            if changed?.contains(probe) ?? true { machine.probeInvalidated() }
            invalidated(changed)
        case .unsubscribed, .pong: break
        }
    }

    private func eventReceived(_ payload: [UInt8]) {
        do throws(EventRejection) {
            let trust = trust(retention: configuration.appendPolicy.retention)
            switch try ChannelMessage.decode(payload, roles: configuration.roles, trust: trust) {
            case .logged(let entry):
                try check(entry.logged, behind: machine.position)
                perform(machine.heard(entry, now: now))
            case .bare(let event, let payload): bareReceived(event, payload)
            }
        } catch {
            rejected(error, position: nil)
        }
    }

    /// An event that was only published: enforced at once, then adopted into the log.
    private func bareReceived(_ event: Event, _ payload: [UInt8]) {
        let appended = max(shared.redisTime(), loop.wall)
        guard event.decision.isLogged else {
            let key = event.id ?? Identifier("none")
            return decide(event, key, version: nil, appended: appended, receipt: event.wantsReceipt && event.id != nil)
        }
        guard let key = event.id ?? Self.hash(payload) else { return }
        switch event.decision {
        case .revoke, .block:
            // Its order is not known yet; the log brings it within a moment.
            let logged = LoggedEvent(key: key, order: appended.milliseconds, event: event)
            shared.standing.withLock { $0.apply(logged, isProvisional: true, isRead: false) }
            decide(event, key, version: nil, appended: appended, receipt: false)
        default: break
        }
        append(Adoption(event: event, payload: payload, key: key))
    }

    /// `h:` and the SHA-256 of the payload: the same for all gates that heard it.
    private static func hash(_ payload: [UInt8]) -> Identifier? {
        do throws(CryptoError) {
            let digest = try SHA256.digest(payload.span)
            let bytes = digest.indices.map { digest[$0] }
            return Identifier(bytes: Array("h:".utf8) + Hexadecimal.encode(bytes))
        } catch {
            return nil
        }
    }

    private func append(_ adoption: Adoption) {
        guard command.machine.isReady else { return keep(adoption) }
        let command = AppendScript.command(
            adoption.event,
            json: adoption.payload,
            id: adoption.key,
            epoch: newEpoch(),
            keys: keys,
            policy: configuration.appendPolicy
        )
        pending.append(command, .adoption(adoption))
        owesWait = true
    }

    /// Redis cannot take it now: it is offered again.
    func keep(_ adoption: Adoption) {
        if adoptions.count >= Self.mostAdoptionsWaiting {
            adoptions.removeFirst()
            shared.report(.eventNotAdopted("too many events wait for Redis"))
        }
        adoptions.append(adoption)
    }

    func appendWaiting() {
        let waiting = adoptions
        adoptions.removeAll()
        for adoption in waiting { append(adoption) }
    }

    func adopted(_ adoption: Adoption, _ value: RESPValue) {
        switch AppendScript.Answer(value) {
        case .stale: break
        case .appended(_, let order, _):
            // The log has it: its order replaces the guess.
            let logged = LoggedEvent(key: adoption.key, order: order, event: adoption.event)
            shared.standing.withLock { $0.apply(logged) }
        case .repeated(_, let order):
            // Under an id that was used before, the log may hold another decision: only a guess is replaced.
            let logged = LoggedEvent(key: adoption.key, order: order, event: adoption.event)
            shared.standing.withLock { if $0.isGuess(adoption.key) { $0.apply(logged) } }
        case .refused(let error):
            shared.report(.eventNotAdopted(error))
            // What Redis says of the event itself will not change; all else may.
            if !error.hasPrefix("BADEVENT"), !LinkMachine.isForbidden(error), !error.contains("WRONGTYPE ") {
                keep(adoption)
            }
        }
    }

    // MARK: - Anti-entropy

    /// Redis has lost what this gate holds: it is put back under its own ids and orders. Another gate may have done it meanwhile.
    private func restore() {
        let redisTime = shared.redisTime()
        if restoring.isEmpty {
            // The oldest stand last: they are taken from there.
            restoring = shared.standing.withLock { $0.missing(now: redisTime) }.reversed()
            if !restoring.isEmpty { shared.report(.restoring(restoring.count)) }
        }
        machine.missing(restoring.count, now: now)
        restoreSlice()
    }

    func restoreSlice() {
        guard command.machine.isReady else { return }
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

    /// What signatures are held against at this moment; nil where events need none.
    private func trust(retention: Milliseconds?) -> EventTrust? {
        guard configuration.eventKey != nil else { return nil }
        // A key that OpenSSL cannot use verifies nothing.
        return eventKey?.trust(now: shared.redisTime(), retention: retention)
            ?? EventTrust(times: nil) { _, _ in false }
    }

    func restored(_ copy: LoggedEvent, _ value: RESPValue) {
        guard case .refused(let error) = AppendScript.Answer(value) else { return }
        shared.report(.eventNotAdopted("\(copy.key) could not be put back: \(error)"))
    }

    private func invalidated(_ changed: [[UInt8]]?) {
        guard let sessions = configuration.sessions else { return }
        // No keys named: every key may have changed (FLUSHALL).
        guard let changed else { return shared.tellAll(.sessionsUncertain) }
        for id in changed.compactMap({ sessions.key.id($0) ?? sessionKeys[$0] }) { readSession(id) }
    }
}

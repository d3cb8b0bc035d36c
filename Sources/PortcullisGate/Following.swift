import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization

/// The log: read whole, then followed. The channel hurries, the stream decides: a message is enforced at once, but the position moves
/// only by reading the stream.
extension Uplink {
    private static let pageSize = 2000
    private static let mostAdoptionsWaiting = 1000

    // MARK: - Reading

    /// Both links stand: tracking is set, and the log is read behind the acknowledged subscription.
    func begin() {
        guard command.machine.isReady, subscribed == Self.channelCount else { return }
        askReplication()
        if configuration.sessions != nil, let subscriberID {
            pending.append(
                Command("CLIENT", "TRACKING", "ON", "REDIRECT", String(subscriberID), "OPTIN"),
                .tracking
            )
            shared.tellAll(.sessionsUncertain)
        }
        pending.append(Command("SET", keys.epoch, newEpoch(), "NX"), .nothing)
        isReading = false
        if hasReadAll { read() } else { readAll() }
        sendProbe()
        appendWaiting()
        sentinels?.linksStand()
        shared.report(.redisReady)
    }

    private func newEpoch() -> String {
        String(UInt64.random(in: .min ... .max), radix: 16)
    }

    /// Reads the standing decisions and the log from the start.
    func readAll() {
        guard command.machine.isReady else { return }
        hasReadAll = false
        isReading = true
        newestHeard = nil
        unheard.removeAll()
        pending.append(Command("HGETALL", keys.standing), .standing)
        readPage(from: nil, isFull: true)
    }

    /// Reads what has come behind the position, which itself must be the first entry.
    func read() {
        guard command.machine.isReady, !isReading else { return }
        isReading = true
        readPage(from: position, isFull: false)
    }

    private func readPage(from: LogPosition?, isFull: Bool) {
        nextRead = now + Milliseconds(configuration.lease.count / 5)
        pending.append(Command("GET", keys.epoch), .epoch)
        pending.append(
            Command("XRANGE", keys.log, from?.description ?? "-", "+", "COUNT", String(Self.pageSize)),
            .page(sentAt: now, from: from, isFull: isFull)
        )
    }

    func epochRead(_ value: RESPValue) {
        // What the gate holds still stands in a new epoch: the first full read of it vouches again.
        guard let bytes = value.bytes else { return }
        if let epoch, epoch != bytes {
            recent = RecentEvents()
            shared.tellAll(.versionsLost)
        }
        epoch = bytes
    }

    func standingRead(_ value: RESPValue) {
        guard let fields = value.array, fields.count % 2 == 0 else {
            return lost(.command, "The standing decisions cannot be read: \(value.errorText ?? "no list").")
        }
        for index in stride(from: 0, to: fields.count, by: 2) {
            guard let key = fields[index].bytes, let stored = fields[index + 1].bytes else { continue }
            do throws(EventRejection) {
                let entry = try StandingEntry.decode(stored, roles: configuration.roles)
                note(Identifier(bytes: key), entry.order, nil, entry.event)
            } catch {
                rejected(error, position: "standing")
            }
        }
    }

    func pageRead(_ value: RESPValue, sentAt: BootTime, from: LogPosition?, isFull: Bool) {
        isReading = false
        guard let rows = value.array else {
            return lost(.command, "The log cannot be read: \(value.errorText ?? "no list").")
        }
        let entries = rows.compactMap { row -> (LogPosition, [RESPValue])? in
            guard let parts = row.array, parts.count == 2, let id = parts[0].bytes,
                let position = LogPosition(Identifier(bytes: id)), let fields = parts[1].array
            else { return nil }
            return (position, fields)
        }
        guard entries.count == rows.count else {
            return lost(.command, "The log holds what is no entry.")
        }
        // The first entry must be the position itself; else the log was flushed, trimmed past it or rolled back.
        if let from, entries.first?.0 != from {
            position = nil
            return readAll()
        }
        for (entryPosition, fields) in entries where entryPosition != from {
            apply(entryPosition, fields)
            position = entryPosition
        }
        if entries.count == Self.pageSize {
            isReading = true
            return readPage(from: position, isFull: isFull)
        }
        hasReadAll = true
        tellUnheard()
        confirmed(sentAt)
    }

    /// The tail is read: the view was whole when the question was sent.
    private func confirmed(_ sentAt: BootTime) {
        guard subscribed == Self.channelCount, hasProved, now.since(sentAt) < configuration.lease else { return }
        guard let sentAt = primaryConfirmed(sentAt: sentAt) else {
            return becomeDeaf("No majority of the sentinels names the Redis that is followed.")
        }
        if !isVouching {
            isVouching = true
            hasVouched = true
            shared.tellAll(.deaf(false))
            shared.report(.vouching(position: position?.description ?? "0-0"))
        }
        shared.tellAll(.vouched(at: sentAt))
        let (position, redisTime) = (self.position?.description ?? "", shared.redisTime(loop.wall))
        let count = shared.standing.withLock { standing in
            standing.expire(now: redisTime)
            return standing.count
        }
        shared.status.withLock { status in
            status.position = position
            status.standing = count
        }
    }

    func becomeDeaf(_ reason: String) {
        guard isVouching else { return }
        isVouching = false
        shared.tellAll(.deaf(true))
        shared.report(.notVouching(reason))
    }

    // MARK: - Applying

    private func apply(_ position: LogPosition, _ fields: [RESPValue]) {
        var values: [String: [UInt8]] = [:]
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            if let name = fields[index].text, let value = fields[index + 1].bytes { values[name] = value }
        }
        guard let json = values["e"], let key = values["i"],
            let order = values["o"].flatMap({ Int64(String(decoding: $0, as: UTF8.self)) })
        else { return rejected(.badField("e, i or o"), position: position.description) }
        let version = values["version"].flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
        do throws(EventRejection) {
            let event = try EventCodec.decode(json, roles: configuration.roles, mayLackID: true)
            note(Identifier(bytes: key), order, version, event)
        } catch {
            rejected(error, position: position.description)
        }
    }

    /// A decision that was read: into the replica at once, to the loops when the tail is reached.
    private func note(_ key: Identifier, _ order: Int64, _ version: Int64?, _ event: Event) {
        guard recent.isNew(key, order: order) else { return }
        shared.standing.withLock { $0.apply(event.decision, event: key, order: order) }
        if hasVouched { unheard.append((key, order, version, event)) }
    }

    /// Tells the loops what was read and still counts: an ended or lifted block closes nobody.
    private func tellUnheard() {
        let redisTime = shared.redisTime(loop.wall)
        for (key, order, version, event) in unheard {
            switch event.decision {
            case .revoke, .block, .reauthenticate:
                guard shared.standing.withLock({ $0.stands(key, now: redisTime) }) else { continue }
            default: break
            }
            let appended = WallTime(milliseconds: order)
            decide(event, key, version: version, appended: appended, receipt: event.wantsReceipt)
        }
        unheard.removeAll()
    }

    /// A decision that the channel brought: into the replica, then to the loops, once.
    private func take(_ key: Identifier, _ order: Int64, _ version: Int64?, _ event: Event) {
        guard recent.isNew(key, order: order) else { return }
        shared.standing.withLock { $0.apply(event.decision, event: key, order: order) }
        // Before the first whole reading nobody has been admitted: there is nobody to tell of.
        guard hasVouched else { return }
        decide(event, key, version: version, appended: WallTime(milliseconds: order), receipt: event.wantsReceipt)
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
            if subscribed == Self.channelCount { begin() }
        case .message(let channel, let payload):
            if channel.elementsEqual(keys.events.utf8) { eventReceived(payload) } else { controlReceived(payload) }
        case .invalidated(let changed): invalidated(changed)
        case .unsubscribed, .pong: break
        }
    }

    private func eventReceived(_ payload: [UInt8]) {
        do throws(EventRejection) {
            switch try ChannelMessage.decode(payload, roles: configuration.roles) {
            case .logged(let entry):
                // A gap: something was written that the channel did not bring.
                let expected = [position, newestHeard].compactMap { $0 }.max()
                if let previous = entry.previous, let expected, previous > expected { read() }
                newestHeard = [entry.position, newestHeard].compactMap { $0 }.max()
                take(entry.key, entry.order, entry.version, entry.event)
            case .bare(let event, let payload):
                bareReceived(event, payload)
            }
        } catch {
            rejected(error, position: nil)
        }
    }

    /// An event that was only published: enforced at once, then adopted into the log.
    private func bareReceived(_ event: Event, _ payload: [UInt8]) {
        let appended = max(shared.redisTime(loop.wall), loop.wall)
        guard event.decision.isLogged else {
            let key = event.id ?? Identifier("none")
            return decide(event, key, version: nil, appended: appended, receipt: event.wantsReceipt && event.id != nil)
        }
        guard let key = event.id ?? Self.hash(payload) else { return }
        switch event.decision {
        case .revoke, .block:
            // Its order is not known yet; the log brings it within a moment.
            shared.standing.withLock {
                $0.apply(event.decision, event: key, order: appended.milliseconds, isProvisional: true)
            }
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
        case .appended, .stale: break
        case .repeated(_, let order):
            // The log had it: its order replaces the guess.
            shared.standing.withLock { $0.apply(adoption.event.decision, event: adoption.key, order: order) }
        case .refused(let error):
            shared.report(.eventNotAdopted(error))
            // What Redis says of the event itself will not change; all else may.
            if !error.hasPrefix("BADEVENT"), !error.hasPrefix("NOPERM"), !error.hasPrefix("WRONGTYPE") {
                keep(adoption)
            }
        }
    }

    private func invalidated(_ changed: [[UInt8]]?) {
        guard let sessions = configuration.sessions else { return }
        // No keys named: every key may have changed (FLUSHALL).
        guard let changed else { return shared.tellAll(.sessionsUncertain) }
        for id in changed.compactMap({ sessions.key.id($0) ?? sessionKeys[$0] }) { readSession(id) }
    }
}

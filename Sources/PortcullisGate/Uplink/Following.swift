import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization

/// What the machine that vouches decides, done: questions to Redis, decisions into the replica and then to the loops.
extension Uplink {
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
            let count = String(machine.pageSize)
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
            // Behind all that it has proved to have come.
            if sessions != nil {
                let sentAt = now + Milliseconds(-took.count - 1)
                knownSessions.proved(sentAt)
                shared.tellAll(.sessionsProved(at: sentAt))
            }
        case .apply(let events, let isRead):
            shared.standing.withLock { standing in
                for event in events { standing.apply(event, isRead: isRead) }
            }
        case .tell(let events): tell(events)
        case .forgetVersions: shared.tellAll(.versionsLost)
        case .hear:
            isPrimaryNamed = true
            // Where there are sentinels they are asked first, by the vouch behind this.
            if sentinels == nil { hear() } else { awaitsMajority = true }
        case .becomeDeaf(let reason):
            awaitsMajority = false
            knownSessions.forgetAll()
            shared.tellAll(.deaf(true))
            shared.report(.notVouching(reason))
        case .vouch(let sentAt): vouch(sentAt)
        case .readSessions: if sessions != nil { sessionsUncertain() }
        case .restore: restore()
        }
    }

    /// The view was whole at that time; whether it is that of the primary, the sentinels know, where there are any. Without their majority
    /// nobody is admitted, and the lease runs out.
    private func vouch(_ sentAt: BootTime) {
        if let confirmed = primaryConfirmed(sentAt: sentAt) {
            if awaitsMajority {
                hear()
            } else if !isPrimaryNamed, machine.hears {
                shared.tellAll(.deaf(false))
            }
            awaitsMajority = false
            isPrimaryNamed = true
            shared.tellAll(.vouched(at: confirmed))
        } else if isPrimaryNamed {
            isPrimaryNamed = false
            shared.tellAll(.deaf(true))
            shared.report(.notVouching("No majority of the sentinels names the Redis that is followed."))
        }
        confirmed()
    }

    private func hear() {
        // Nobody was admitted before: the pages that were read are the last large ones.
        if !hasHeard { Heap.settle() }
        hasHeard = true
        shared.tellAll(.deaf(false))
        shared.report(.vouching(position: machine.position?.description ?? "0-0"))
    }

    /// Both links stand: Redis tells the present subscriber of the keys that are read from here on.
    private func track() {
        guard let subscriberID else { return lost(.subscription, "Redis did not say the subscriber's id.") }
        pending.append(Command("CLIENT", "TRACKING", "ON", "REDIRECT", String(subscriberID), "OPTIN"), .tracking)
        if sessions != nil {
            knownSessions.forgetAll(isTracking: true)
            shared.tellAll(.sessionsUncertain)
        }
        askReplication()
        sentinels?.linksStand()
        shared.report(.redisReady)
    }

    func newEpoch() -> String {
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

    func decide(_ event: Event, _ key: Identifier, version: Int64?, appended: WallTime, receipt: Bool) {
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

    func rejected(_ rejection: EventRejection, position: String?) {
        if rejection.isUnknown { unknownEvents += 1 }
        if let position {
            shared.report(.logEntryRejected(position: position, rejection))
        } else {
            shared.report(.eventRejected(rejection))
        }
    }

    /// What signatures are held against at this moment; nil where events need none.
    func trust(retention: Milliseconds?) -> EventTrust? {
        guard configuration.eventKey != nil else { return nil }
        // A key that OpenSSL cannot use verifies nothing.
        return eventKey?.trust(now: shared.redisTime(), retention: retention)
            ?? EventTrust(times: nil) { _, _ in false }
    }
}

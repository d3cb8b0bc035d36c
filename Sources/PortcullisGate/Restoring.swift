import PortcullisCore
import PortcullisRedis
import PortcullisWire
import Synchronization

/// Anti-entropy: what Redis has lost is put back.
extension Uplink {
    /// Copies that are under way at once.
    private static let restoredAtOnce = 200

    /// Redis has lost what this gate holds: it is put back under its own ids and orders. Another gate may have done it meanwhile.
    func restore() {
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

    func restored(_ copy: LoggedEvent, _ value: RESPValue) {
        guard case .refused(let error) = AppendScript.Answer(value) else { return }
        shared.report(.eventNotAdopted("\(copy.key) could not be put back: \(error)"))
    }
}

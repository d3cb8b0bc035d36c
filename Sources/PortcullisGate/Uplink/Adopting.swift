import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization

/// Events that were only published: enforced at once, then put into the log.
extension Uplink {
    private static let mostAdoptionsWaiting = 1000

    /// An event that was only published: enforced at once, then adopted into the log.
    func bareReceived(_ event: Event, _ payload: [UInt8]) {
        let appended = max(shared.redisTime(), loop.wall)
        guard event.decision.isLogged else {
            let key = event.id ?? Identifier("none")
            return decide(event, key, version: nil, appended: appended, receipt: event.wantsReceipt && event.id != nil)
        }
        let key = event.id ?? Self.hash(payload)
        switch event.decision {
        case .revoke, .block:
            // Its order is not known yet; the log brings it within a moment.
            let logged = LoggedEvent(key: key, order: appended.milliseconds, event: event)
            if shared.standing.withLock({ $0.applyBare(logged) }) {
                decide(event, key, version: nil, appended: appended, receipt: false)
            }
        default: permitHeard(event, key)
        }
        append(Adoption(event: event, payload: payload, key: key))
    }

    /// `h:` and the SHA-256 of the payload: the same for all gates that heard it.
    private static func hash(_ payload: [UInt8]) -> Identifier {
        let digest = SHA256.digest(payload.span)
        return Identifier(bytes: Array("h:".utf8) + Hexadecimal.encode(digest.span))
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
            permitAdopted(adoptions.removeFirst(), at: nil)
            shared.report(.eventNotAdopted("too many events wait for Redis"))
        }
        adoptions.append(adoption)
    }

    /// Offers what waits again. An id that is made of the payload is a repeat for two seconds only: whether another gate has adopted the event
    /// meanwhile the log says, and so it is read first.
    func appendWaiting() {
        guard !adoptions.isEmpty, machine.hasReadToTheTail else { return }
        let waiting = adoptions
        adoptions.removeAll()
        let open = shared.standing.withLock { standing in
            waiting.filter { $0.event.id == $0.key || !standing.holds($0.key) || standing.isGuess($0.key) }
        }
        for adoption in open { append(adoption) }
    }

    func adopted(_ adoption: Adoption, _ value: RESPValue) {
        switch AppendScript.Answer(value) {
        case .stale: permitAdopted(adoption, at: nil)
        case .appended(let position, let order, _):
            // The log has it: its order replaces the guess.
            let logged = LoggedEvent(key: adoption.key, order: order, event: adoption.event)
            shared.standing.withLock { $0.apply(logged) }
            permitAdopted(adoption, at: position)
        case .repeated(let position, let order):
            // Under an id that was used before, the log may hold another decision: only a guess is replaced.
            let logged = LoggedEvent(key: adoption.key, order: order, event: adoption.event)
            shared.standing.withLock { if $0.isGuess(adoption.key) { $0.apply(logged) } }
            permitAdopted(adoption, at: position)
        case .refused(let error):
            shared.report(.eventNotAdopted(error))
            // What Redis says of the event itself will not change; all else may.
            if !error.hasPrefix("BADEVENT"), !LinkMachine.isForbidden(error), !error.contains("WRONGTYPE ") {
                keep(adoption)
            } else {
                permitAdopted(adoption, at: nil)
            }
        }
    }
}

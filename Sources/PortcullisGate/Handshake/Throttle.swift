import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Synchronization

/// The limits by source address, where the gate asks them: once a handshake, once a failure, and once the end of a counted connection.
/// An exempt address and limits that are off take no lock.
extension GateLoop {
    /// A handshake that is one too many of its source.
    struct Held {
        let refusal: Refusal
        let retryAfter: Milliseconds?
    }

    private func source(_ slot: Int) -> AddressThrottle.Source? {
        // A trusted proxy that names nobody: all that come through it would pay for one.
        guard !configuration.forwarding.trusts(lives[slot].address) else { return nil }
        return configuration.throttle.source(lives[slot].address)
    }

    /// Counts a handshake, once its source is known and before anything is paid for it; what it is refused with where its source has had
    /// its share. One that was counted before TLS is not counted again with its head: only the failures that came between are asked for.
    func throttled(_ stream: StreamID) -> Held? {
        let slot = Int(stream.slot)
        guard let source = source(slot) else { return nil }
        let (now, isEntered) = (now, lives[slot].isEntered)
        let verdict = shared.throttle.withLock {
            guard isEntered else { return $0.enter(source, now: now) }
            return $0.waitAfterFailures(source, now: now).map { .rateLimited(retryAfter: $0) } ?? .admitted
        }
        switch verdict {
        case .admitted:
            if !isEntered { lives[slot].isCounted = configuration.throttle.connections > 0 }
            lives[slot].isEntered = true
            return nil
        case .rateLimited(let wait):
            let refusal = Refusal(.rateLimited, "too many handshakes or failures of one address")
            return Held(refusal: refusal, retryAfter: wait)
        case .tooManyConnections:
            let refusal = Refusal(.tooManyConnections, "limits.connections_per_address is reached")
            return Held(refusal: refusal, retryAfter: nil)
        }
    }

    /// Before TLS: a source that has had its share is turned away without a word, for an answer would have to be paid for with a TLS
    /// handshake.
    func turnAway(_ stream: StreamID) -> Bool {
        guard let held = throttled(stream) else { return false }
        shared.report(.refused(report(stream, nil), held.refusal))
        lives[Int(stream.slot)].phase = .closing
        engine.close(stream)
        return true
    }

    func countFailure(_ stream: StreamID, _ outcome: Outcome) {
        guard outcome.isFailure, let source = source(Int(stream.slot)) else { return }
        let now = now
        shared.throttle.withLock { $0.failed(source, now: now) }
    }

    /// How long the source of a connection must wait until another credential of it is looked at; nil: not at all.
    func waitAfterFailures(_ slot: UInt32) -> Milliseconds? {
        guard let source = source(Int(slot)) else { return nil }
        let now = now
        return shared.throttle.withLock { $0.waitAfterFailures(source, now: now) }
    }

    /// The connection's socket is gone.
    func leaveThrottle(_ slot: UInt32) {
        guard lives[Int(slot)].isCounted else { return }
        // Whatever the limits are by now: it was counted.
        let source = AddressThrottle.Source(of: lives[Int(slot)].address)
        shared.throttle.withLock { $0.left(source) }
    }
}

extension Outcome {
    /// Whether a refusal counts towards `limits.failures_per_minute`: a handshake that is malformed (400, 431) or too slow (408), and a
    /// credential that is missing, not accepted or not enough (401, 403).
    ///
    /// A forbidden origin does not count: any page could send its visitors' browsers here until their addresses were shut out. Nor does
    /// what a client can do nothing about (503), what this throttle itself refuses (429), or a wrong path or method of probing (404, 413,
    /// 426).
    fileprivate var isFailure: Bool {
        switch self {
        case .originForbidden: false
        default: [400, 401, 403, 408, 431].contains(row.status)
        }
    }
}

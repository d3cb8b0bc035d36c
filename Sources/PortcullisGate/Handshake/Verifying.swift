import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import PortcullisWire

/// Tokens that clients show at their handshakes, verified a share a turn: ten thousand who come back at once hold up no decision, and nobody
/// who is there already. Who comes when the share is used up waits in line, the time for its handshake running on; nothing is known of it
/// meanwhile, so that it is checked as if it came only then.
extension GateLoop {
    /// A handshake shows a token.
    func tokenShown(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        _ token: [UInt8]
    ) throws(Refusal) {
        if verifications.isOpen { return try presented(stream, bytes, pending, token) }
        if !pending.isUpgraded { pending.bytes = bytes.copy() }
        pending.token = token
        lives[Int(stream.slot)].pending = pending
        lives[Int(stream.slot)].phase = .verifying
        verifications.append(stream)
    }

    /// Begins the turn's share, with those who wait. It stands behind the mail and the deadlines.
    func beginVerifying() {
        verifications.begin()
        guard verifications.count > 0 else { return }
        // All that a handshake takes counts here: many are refused unverified where the view is lost.
        let start = Clock.boot()
        while let stream = verifications.popFirst() {
            verifyWaiting(stream)
            if Clock.boot() - start >= verifications.share { return }
        }
    }

    private func verifyWaiting(_ stream: StreamID) {
        guard isCurrent(stream), lives[Int(stream.slot)].phase == .verifying,
            let pending = lives[Int(stream.slot)].pending, let token = pending.token
        else { return }
        pending.token = nil
        do throws(Refusal) {
            // Either may have changed while it waited.
            guard !isDraining else { throw Refusal(.draining, "the gate is shutting down") }
            guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
            let bytes = pending.bytes
            try presented(stream, bytes.span, pending, token)
        } catch {
            refuse(stream, error, pending)
        }
    }
}

/// Who waits for its token to be verified, in order, and what is left of the turn's share.
struct VerificationLine {
    private var waiting = Backlog<StreamID>()
    /// In nanoseconds.
    let share: Int64
    private var spent: Int64 = 0

    init(share: Int64) {
        self.share = share
    }

    /// How many wait, those who have gone meanwhile included.
    var count: Int {
        waiting.count
    }

    /// Whether a token may be verified as it comes: nobody stands before it, and of the share something is left. One is verified in each
    /// turn at least.
    var isOpen: Bool {
        waiting.isEmpty && (spent == 0 || spent < share)
    }

    /// Another turn.
    mutating func begin() {
        spent = 0
    }

    mutating func spend(_ time: Int64) {
        spent += max(1, time)
    }

    mutating func append(_ stream: StreamID) {
        waiting.append(stream)
    }

    mutating func popFirst() -> StreamID? {
        waiting.popFirst()
    }
}

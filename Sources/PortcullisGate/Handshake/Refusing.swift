import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Handshakes that are not admitted.
extension GateLoop {
    /// Answers a handshake that is not admitted, over HTTP or as an opening that is closed at once.
    /// - Parameter retryAfter: when another attempt may succeed, where that is known.
    func refuse(
        _ stream: StreamID,
        _ refusal: Refusal,
        _ known: PendingHandshake? = nil,
        retryAfter: Milliseconds? = nil
    ) {
        let slot = Int(stream.slot)
        guard isCurrent(stream), [.head, .authenticating, .verifying, .asking].contains(lives[slot].phase) else {
            return
        }
        let pending = known ?? lives[slot].pending
        let report = report(stream, pending)
        output.removeAll(keepingCapacity: true)
        let retry = refusal.outcome.row.reconnect == .later ? retryAfter ?? configuration.drainRetryAfter : nil
        if let pending, pending.isUpgraded {
            Closing(refusal.outcome, retryAfter: retry).append(isVersion1: true, to: &output)
        } else if let pending, let request = pending.request,
            configuration.refusal.opensAndCloses(refusal.outcome, request, pending.origin),
            appendOpening(pending, request)
        {
            Closing(refusal.outcome, retryAfter: retry)
                .append(isVersion1: pending.subprotocol.isVersion1, to: &output)
        } else {
            output.removeAll(keepingCapacity: true)
            HandshakeResponse.appendRefusal(
                refusal.outcome,
                requestID: Array(report.request.utf8),
                // Whole seconds, rounded up.
                retryAfter: Int(((retryAfter?.count ?? 1000) + 999) / 1000),
                to: &output
            )
        }
        countFailure(stream, refusal.outcome)
        shared.report(.refused(report, refusal))
        _ = registry.condemn(stream.slot)
        lives[slot].pending = nil
        lives[slot].frames = FrameState()
        lives[slot].phase = .closing
        rooms.leaveAll(stream.slot)
        engine.send(stream, output)
        engine.finish(stream)
        wheel.set(stream.slot, at: now + configuration.closeDeadline)
    }

    private func appendOpening(_ pending: PendingHandshake, _ request: UpgradeRequest) -> Bool {
        let bytes = pending.bytes
        guard !bytes.isEmpty else { return false }
        appendUpgrade(request, pending.subprotocol, bytes.span)
        return true
    }

    func report(_ stream: StreamID, _ pending: PendingHandshake?) -> GateReport.Handshake {
        GateReport.Handshake(
            request: shared.nextRequest(),
            credential: pending?.kind ?? .none,
            address: lives[Int(stream.slot)].address
        )
    }
}

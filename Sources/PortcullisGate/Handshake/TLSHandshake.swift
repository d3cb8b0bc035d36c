import PortcullisCore
import PortcullisReactor

/// Clients with whom no TLS comes about. They are told by TLS itself, if at all; here they are counted and reported as the malformed
/// handshakes that they are.
extension GateLoop {
    /// The stream could not be secured, or not any longer; it is gone.
    func tlsFailed(_ stream: StreamID, _ failure: TLSFailure) {
        // Later it is a live connection that broke, and a peer that connects and goes has asked for nothing: balancers do so to see
        // whether there is anybody.
        guard lives[Int(stream.slot)].phase == .head, failure.kind != .ended else { return }
        let why =
            switch failure.kind {
            case .notTLS: "the client speaks no TLS, on a port that speaks nothing else"
            case .tooOld: "the client speaks no version of TLS that is accepted"
            case .other(let text): "the TLS handshake failed: \(text)"
            default: "the TLS handshake failed"
            }
        report(stream, Refusal(.badRequest, why))
    }

    /// The TLS handshake is not through when all of the handshake should be.
    func tlsTimedOut(_ stream: StreamID) {
        report(stream, Refusal(.handshakeTimeout, "the TLS handshake was not through in time"))
        engine.close(stream)
        // Until the engine says that it is gone.
        lives[Int(stream.slot)].phase = .closing
    }

    private func report(_ stream: StreamID, _ refusal: Refusal) {
        countFailure(stream, refusal.outcome)
        shared.report(.refused(report(stream, nil), refusal))
    }
}

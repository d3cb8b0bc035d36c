/// How a connection ended.
public struct Closed: Equatable, Sendable {
    /// Who ended it.
    public enum Cause: Equatable, Sendable {
        /// We did, by `close`.
        case client
        /// The gate did, with a close frame or a `closing` message.
        case gate
        /// We did, because the gate broke the WebSocket protocol; the sentence names the rule.
        case violation(String)
        /// Nobody said goodbye.
        case lost(String)
    }

    public let cause: Cause
    /// The code of the close frame, as received or (after a violation) sent; nil where there was none.
    public let code: UInt16?
    /// The text of the close frame. It comes from the peer: clean it before it goes to a terminal.
    public let reason: String
    /// What to do next: what the `closing` message said, else what the table of close codes says.
    public let advice: ReconnectAdvice
    /// How long to wait where the advice is `later`, if the gate said.
    public let retryAfter: Duration?
    /// What the `closing` message said beyond the reason.
    public let detail: String?
    /// When the close frame was read, or the loss was noticed.
    public let arrival: ContinuousClock.Instant

    /// - Parameter closing: the gate's last message, where it sent one. It outweighs the table, and the close frame if that was lost.
    init(
        _ cause: Cause,
        code: UInt16? = nil,
        reason: String = "",
        closing: Closing? = nil,
        arrival: ContinuousClock.Instant = .now
    ) {
        self.arrival = arrival
        if let closing {
            self.cause = if case .lost = cause { .gate } else { cause }
            self.code = code ?? closing.code
            self.reason = reason.isEmpty ? closing.reason : reason
        } else {
            self.cause = cause
            self.code = code
            self.reason = reason
        }
        detail = closing?.detail
        retryAfter = closing?.retryAfter
        advice =
            switch cause {
            // Whoever closes on purpose does not come back by itself; whoever speaks no WebSocket will not have learnt it.
            case .client, .violation: .never
            case .gate, .lost:
                closing?.reconnect ?? ReconnectAdvice(closeCode: self.code, reason: self.reason)
            }
    }
}

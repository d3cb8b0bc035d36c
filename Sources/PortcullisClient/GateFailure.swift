/// Why there is no connection, or why a message could not be sent.
public struct GateFailure: Error, Equatable, Sendable {
    /// What kind of failure it is. More may come: a `switch` over it needs a `default`.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        /// The gate answered the handshake with an HTTP status: see ``GateFailure/refusal``.
        public static let refused = Kind(description: "refused")
        /// Nobody answered at the address, or the connection was lost before the handshake was done.
        public static let unreachable = Kind(description: "unreachable")
        /// The handshake was not done by its deadline.
        public static let timedOut = Kind(description: "timed_out")
        /// What answered does not speak WebSocket, or not the subprotocol that was asked for.
        public static let notWebSocket = Kind(description: "not_websocket")
        /// The URL, the credential or the message cannot be sent: nothing was.
        public static let invalid = Kind(description: "invalid")
        /// The connection is closed.
        public static let closed = Kind(description: "closed")
        /// The task was cancelled.
        public static let cancelled = Kind(description: "cancelled")
    }

    public let kind: Kind
    /// What the gate answered; of the kind `refused` only.
    public let refusal: Refused?
    /// A sentence for people. It may hold words of the peer: clean it before it goes to a terminal.
    public let detail: String

    init(_ kind: Kind, _ detail: String, refusal: Refused? = nil) {
        self.kind = kind
        self.refusal = refusal
        self.detail = detail
    }

    static func invalid(_ detail: String) -> GateFailure {
        GateFailure(.invalid, detail)
    }

    static func refused(_ refusal: Refused) -> GateFailure {
        GateFailure(.refused, refusal.sentence, refusal: refusal)
    }

    static let closed = GateFailure(.closed, "The connection is closed.")
    static let cancelled = GateFailure(.cancelled, "The task was cancelled.")
}

extension GateFailure: CustomStringConvertible {
    public var description: String {
        detail
    }
}

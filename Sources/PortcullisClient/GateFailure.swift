/// Why there is no connection, or why a message could not be sent.
public struct GateFailure: Error, Equatable, Sendable {
    /// What kind of failure it is. More may come: a `switch` over it needs a `default`.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        /// The gate answered the handshake with an HTTP status: see ``GateFailure/refusal``.
        public static let refused = Kind(description: "refused")
        /// Nobody answered at the address, or the connection was lost before the handshake was done.
        public static let unreachable = Kind(description: "unreachable")
        /// The handshake, or the answer to a call, did not come by its deadline.
        public static let timedOut = Kind(description: "timed_out")
        /// What answered does not speak WebSocket, or not the subprotocol that was asked for.
        public static let notWebSocket = Kind(description: "not_websocket")
        /// The URL, the credential or the message cannot be sent: nothing was.
        public static let invalid = Kind(description: "invalid")
        /// No TLS, or none that can be trusted.
        public static let insecure = Kind(description: "insecure")
        /// The gate answered a call with `error`: see ``GateFailure/error``.
        public static let rejected = Kind(description: "rejected")
        /// The application had no fresh credential to give.
        public static let noCredential = Kind(description: "no_credential")
        /// The connection is closed.
        public static let closed = Kind(description: "closed")
        /// The task was cancelled.
        public static let cancelled = Kind(description: "cancelled")
    }

    public let kind: Kind
    /// What the gate answered; of the kind `refused` only.
    public let refusal: Refused?
    /// What the gate said, with its code; of the kind `rejected` only.
    public let error: MessageError?
    /// A sentence for people. It may hold words of the peer: clean it before it goes to a terminal.
    public let detail: String

    init(_ kind: Kind, _ detail: String, refusal: Refused? = nil, error: MessageError? = nil) {
        self.kind = kind
        self.refusal = refusal
        self.error = error
        self.detail = detail
    }

    static func invalid(_ detail: String) -> GateFailure {
        GateFailure(.invalid, detail)
    }

    static func refused(_ refusal: Refused) -> GateFailure {
        GateFailure(.refused, refusal.sentence, refusal: refusal)
    }

    static func rejected(_ error: MessageError) -> GateFailure {
        let why = error.detail.map { ": \($0)" } ?? "."
        return GateFailure(.rejected, "The gate answered \(error.code)\(why)", error: error)
    }

    static let closed = GateFailure(.closed, "The connection is closed.")
    static let cancelled = GateFailure(.cancelled, "The task was cancelled.")
}

extension GateFailure: CustomStringConvertible {
    public var description: String {
        detail
    }
}

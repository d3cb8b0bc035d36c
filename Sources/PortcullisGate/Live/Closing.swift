import PortcullisCore
import PortcullisWire

/// How a connection is closed: what its last message and its close frame say.
struct Closing: Equatable {
    let code: UInt16
    let reason: String
    let reconnect: Reconnect
    var retryAfter: Milliseconds?
    /// A sentence for the person.
    var detail: String?

    init(_ outcome: Outcome, retryAfter: Milliseconds? = nil, detail: String? = nil) {
        let row = outcome.row
        code = row.closeCode ?? 1008
        reason = outcome.rawValue
        reconnect = row.reconnect
        self.retryAfter = retryAfter
        self.detail = detail
    }

    /// What a `disconnect` asks for: the client may return.
    init(code: UInt16, reason: String?) {
        self.code = code
        self.reason = reason ?? Outcome.bye.rawValue
        reconnect = .later
    }

    /// The bytes for a connection: the `closing` message where `portcullis.v1` is spoken, then the close frame.
    func append(isVersion1: Bool, to output: inout [UInt8]) {
        if isVersion1 {
            let message = ServerMessage.closing(
                code: code,
                reason: reason,
                reconnect: reconnect,
                retryAfter: retryAfter,
                detail: detail
            )
            FrameWriter.append(.text, message.span, to: &output)
        }
        FrameWriter.appendClose(code: code, reason: Array(reason.utf8).span, to: &output)
    }
}

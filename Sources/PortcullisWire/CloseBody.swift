import PortcullisCore

/// The body of a close frame (RFC 6455, sections 5.5.1 and 7.4).
enum CloseBody {
    /// Codes that may stand in a frame: those that RFC 6455 defines for it, those registered since (1012–1014), and those left to
    /// libraries and applications. 1004 is reserved, 1005, 1006 and 1015 are for reports alone, and nobody has defined the rest.
    static func mayBeSent(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    static func step(_ body: [UInt8]) -> FrameStep {
        guard !body.isEmpty else { return .close(code: nil, reason: []) }
        guard body.count >= 2 else { return .failed(.protocolError) }
        let code = UInt16(body[0]) << 8 | UInt16(body[1])
        guard mayBeSent(code) else { return .failed(.protocolError) }
        let reason = Array(body.dropFirst(2))
        var check = UTF8Check()
        guard check.accept(reason.span), check.isComplete else { return .failed(.invalidPayload) }
        return .close(code: code, reason: reason)
    }
}

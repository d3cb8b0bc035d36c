internal import NIOCore
internal import NIOWebSocket

/// A rule of RFC 6455 that the gate broke, and the code of the close frame that says so.
struct Violation: Error, Equatable {
    let code: UInt16
    let rule: String

    static let masked = Violation(code: 1002, rule: "a server must not mask its frames")
    static let reservedBits = Violation(code: 1002, rule: "a reserved bit is set, though no extension was agreed")
    static let unknownOpcode = Violation(code: 1002, rule: "the opcode is unknown")
    static let continuation = Violation(code: 1002, rule: "a continuation has nothing to continue")
    static let interleaved = Violation(code: 1002, rule: "a message began within another")
    static let controlFrame = Violation(code: 1002, rule: "a control frame is fragmented or longer than 125 bytes")
    static let closePayload = Violation(code: 1002, rule: "the close frame is malformed")
    static let notUTF8 = Violation(code: 1007, rule: "a text is not UTF-8")
    static let tooBig = Violation(code: 1009, rule: "a message is larger than this client accepts")
}

/// Frames to messages (RFC 6455, sections 5.4 and 5.5), for a client: pure, and total over whatever a peer sends.
struct MessageAssembler {
    enum Action: Equatable {
        /// A part of a message, or a pong: nothing to do yet.
        case wait
        case deliver(Payload)
        case pong(ByteBuffer)
        /// The gate's close frame; the code is nil where it has no payload.
        case closed(code: UInt16?, reason: String)
        case fail(Violation)
    }

    private let maximumSize: Int
    /// The message that has begun and not ended: its kind and what came of it.
    private var partial: (isText: Bool, data: ByteBuffer)?

    init(maximumSize: Int) {
        self.maximumSize = maximumSize
    }

    mutating func frameReceived(_ frame: WebSocketFrame) -> Action {
        guard frame.maskKey == nil else { return .fail(.masked) }
        guard !frame.rsv1, !frame.rsv2, !frame.rsv3 else { return .fail(.reservedBits) }
        switch frame.opcode {
        case .text, .binary:
            guard partial == nil else { return .fail(.interleaved) }
            partial = (frame.opcode == .text, ByteBuffer())
            return append(frame)
        case .continuation:
            guard partial != nil else { return .fail(.continuation) }
            return append(frame)
        case .ping:
            return .pong(frame.data)
        case .pong:
            return .wait
        case .connectionClose:
            return Self.closeReceived(frame.data)
        default:
            return .fail(.unknownOpcode)
        }
    }

    private mutating func append(_ frame: WebSocketFrame) -> Action {
        guard let isText = partial?.isText, var data = partial?.data else { return .fail(.continuation) }
        // Taken out while it grows: a second reference would copy all of it for each fragment.
        partial = nil
        guard frame.data.readableBytes <= maximumSize - data.readableBytes else { return .fail(.tooBig) }
        if data.readableBytes == 0 {
            data = frame.data
        } else {
            data.writeImmutableBuffer(frame.data)
        }
        guard frame.fin else {
            partial = (isText, data)
            return .wait
        }
        guard isText else { return .deliver(.binary(Array(data.readableBytesView))) }
        guard let text = String(validating: data.readableBytesView, as: UTF8.self) else { return .fail(.notUTF8) }
        return .deliver(.text(text))
    }

    private static func closeReceived(_ payload: ByteBuffer) -> Action {
        var payload = payload
        guard payload.readableBytes > 0 else { return .closed(code: nil, reason: "") }
        guard let code = payload.readInteger(as: UInt16.self), isSendable(code) else { return .fail(.closePayload) }
        guard let reason = String(validating: payload.readableBytesView, as: UTF8.self) else { return .fail(.notUTF8) }
        return .closed(code: code, reason: reason)
    }

    /// RFC 6455, section 7.4, and the registry: codes that may stand in a frame.
    static func isSendable(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

public import PortcullisCore

/// Writes frames (RFC 6455, section 5.2) into a buffer that is used again. A server's are not masked, so that one that was written once
/// can be sent to many.
public enum FrameWriter {
    /// A masking key, its first byte lowest, fresh and unforeseeable for every frame of a client (section 5.3); nil for a server.
    public typealias Mask = UInt32

    public static func append(
        _ kind: MessageKind,
        _ payload: Span<UInt8>,
        mask: Mask? = nil,
        to buffer: inout [UInt8]
    ) {
        append(kind == .text ? .text : .binary, payload, mask, to: &buffer)
    }

    /// One of a server in an array of its own, that holds no more: the queues of many who are slow may share it.
    public static func frame(_ kind: MessageKind, _ payload: Span<UInt8>) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(payload.count + longestHeader)
        append(kind, payload, to: &frame)
        return frame
    }

    /// Without a mask.
    private static let longestHeader = 10

    /// - Parameter payload: what is longer than a control frame may be is cut to 125 bytes.
    public static func appendPing(_ payload: Span<UInt8>, mask: Mask? = nil, to buffer: inout [UInt8]) {
        append(.ping, payload.extracting(first: 125), mask, to: &buffer)
    }

    /// - Parameter payload: that of the ping (section 5.5.3).
    public static func appendPong(_ payload: Span<UInt8>, mask: Mask? = nil, to buffer: inout [UInt8]) {
        append(.pong, payload.extracting(first: 125), mask, to: &buffer)
    }

    /// - Parameters:
    ///   - code: nil for a close without a body, which is also written for one that may not be sent (section 7.4).
    ///   - reason: UTF-8; cut to 123 bytes at the end of a character.
    public static func appendClose(
        code: UInt16?,
        reason: Span<UInt8>,
        mask: Mask? = nil,
        to buffer: inout [UInt8]
    ) {
        var body: [UInt8] = []
        if let code, CloseBody.mayBeSent(code) {
            body.reserveCapacity(125)
            body.append(UInt8(code >> 8))
            body.append(UInt8(code & 0xFF))
            body.append(0..<endOfWholeCharacters(reason, 123), of: reason)
        }
        append(.close, body.span, mask, to: &buffer)
    }

    /// The close of an outcome: its code and its name. One that has no close code is an empty close.
    public static func appendClose(_ outcome: Outcome, mask: Mask? = nil, to buffer: inout [UInt8]) {
        let reason = Array(outcome.rawValue.utf8)
        appendClose(code: outcome.row.closeCode, reason: reason.span, mask: mask, to: &buffer)
    }

    private static func append(
        _ opcode: FrameHeader.Opcode,
        _ payload: Span<UInt8>,
        _ mask: Mask?,
        to buffer: inout [UInt8]
    ) {
        let masked: UInt8 = mask == nil ? 0 : 0x80
        buffer.append(0x80 | opcode.rawValue)
        switch payload.count {
        case 0...125: buffer.append(masked | UInt8(payload.count))
        case 126...0xFFFF:
            buffer.append(masked | 126)
            buffer.append(UInt8(payload.count >> 8))
            buffer.append(UInt8(payload.count & 0xFF))
        default:
            buffer.append(masked | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                buffer.append(UInt8(truncatingIfNeeded: payload.count >> shift))
            }
        }
        if let mask {
            for shift in stride(from: UInt32(0), through: 24, by: 8) {
                buffer.append(UInt8(truncatingIfNeeded: mask >> shift))
            }
        }
        let start = buffer.count
        buffer.append(0..<payload.count, of: payload)
        if let mask { Masking.apply(mask, to: &buffer, from: start) }
    }

    /// The end of the last character that stands whole in the first `limit` bytes.
    private static func endOfWholeCharacters(_ text: Span<UInt8>, _ limit: Int) -> Int {
        guard text.count > limit else { return text.count }
        var end = limit
        while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        return end
    }
}

import PortcullisCore

/// Which end of a connection reads: a client's frames are masked, a server's are not (RFC 6455, section 5.1).
public enum FrameReaderRole: Sendable {
    case server
    case client
}

/// The header of one frame (RFC 6455, section 5.2), checked byte by byte: the rules of one frame alone stand here.
struct FrameHeader: Equatable {
    enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    enum Read: Equatable {
        /// The header is not whole.
        case needMore
        case failed(Outcome)
        case whole(FrameHeader)
    }

    let opcode: Opcode
    let isFinal: Bool
    /// The masking key, its first byte lowest; 0, which changes nothing, where the frame is not masked.
    let mask: UInt32
    let payloadLength: Int
    let headerLength: Int

    static let longest = 14

    /// - Parameter limit: called with the opcode and the announced length before the masking key is asked for, so that a
    ///   frame that can never be accepted is refused on its length alone.
    static func read(
        _ bytes: Span<UInt8>,
        from start: Int,
        _ role: FrameReaderRole,
        limit: (_ opcode: Opcode, _ length: Int) -> Outcome?
    ) -> Read {
        guard start < bytes.count else { return .needMore }
        let first = bytes[start]
        // No extension is negotiated, so the reserved bits mean nothing, and so do the other opcodes.
        guard first & 0x70 == 0, let opcode = Opcode(rawValue: first & 0x0F) else { return .failed(.protocolError) }
        let isFinal = first & 0x80 != 0
        guard isFinal || !opcode.isControl else { return .failed(.protocolError) }
        guard start + 1 < bytes.count else { return .needMore }
        let second = bytes[start + 1]
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else { return .failed(.protocolError) }
        var length = Int(second & 0x7F)
        guard length <= 125 || !opcode.isControl else { return .failed(.protocolError) }
        var at = start + 2
        if length == 126 {
            guard at + 2 <= bytes.count else { return .needMore }
            length = Int(bytes[at]) << 8 | Int(bytes[at + 1])
            guard length >= 126 else { return .failed(.protocolError) }
            at += 2
        } else if length == 127 {
            guard at < bytes.count else { return .needMore }
            guard bytes[at] < 0x80 else { return .failed(.protocolError) }
            guard at + 8 <= bytes.count else { return .needMore }
            length = 0
            for place in at..<at + 8 { length = length << 8 | Int(bytes[place]) }
            guard length > 0xFFFF else { return .failed(.protocolError) }
            at += 8
        }
        if let outcome = limit(opcode, length) { return .failed(outcome) }
        var mask: UInt32 = 0
        if isMasked {
            guard at + 4 <= bytes.count else { return .needMore }
            for place in (at..<at + 4).reversed() { mask = mask << 8 | UInt32(bytes[place]) }
            at += 4
        }
        return .whole(
            FrameHeader(
                opcode: opcode,
                isFinal: isFinal,
                mask: mask,
                payloadLength: length,
                headerLength: at - start
            )
        )
    }
}

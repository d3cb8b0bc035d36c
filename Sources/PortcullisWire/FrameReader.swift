public import PortcullisCore

public enum MessageKind: UInt8, Sendable {
    case text = 1
    case binary = 2
}

/// What the next bytes of a connection say.
public enum FrameStep: Equatable, Sendable {
    /// Nothing is left to say about the chunk; all of it was taken.
    case needMore
    /// A whole message; a text is UTF-8.
    case message(MessageKind, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    /// The peer closes; `code` is nil where the frame has no body. Nothing behind it is read.
    case close(code: UInt16?, reason: [UInt8])
    /// The peer broke a rule: `protocolError`, `invalidPayload`, `messageTooBig` or `policyViolation`. Nothing behind it is read.
    case failed(Outcome)
}

/// What one connection remembers between two chunks: nothing but this, unless a frame or a message is incomplete.
public struct FrameState {
    var assembly: Assembly?
    var hasEnded = false

    public init() {}

    /// Whether nothing is kept for an incomplete frame or message.
    public var isIdle: Bool {
        assembly == nil
    }
}

/// What a message may cost (`limits.message`, `limits.fragments`).
public struct MessageLimits: Equatable, Sendable {
    /// The longest message, all its fragments together.
    public var bytes: Int
    /// The most frames of one message.
    public var fragments: Int
    /// The most of them, behind the first, that carry nothing.
    public var emptyContinuations: Int

    public init(bytes: Int = 1 << 20, fragments: Int = 1024, emptyContinuations: Int = 100) {
        self.bytes = bytes
        self.fragments = fragments
        self.emptyContinuations = emptyContinuations
    }
}

/// Reads the frames of RFC 6455, strictly, from chunks of any size; one serves all connections of a loop.
///
/// A message that stands whole in a chunk is copied once, into the array that is handed out, and leaves no state. For one that does
/// not, memory is taken as its bytes come: what a header announces is only compared with the limits.
public struct FrameReader: Sendable {
    public let role: FrameReaderRole
    public let limits: MessageLimits

    public init(_ role: FrameReaderRole = .server, limits: MessageLimits = MessageLimits()) {
        self.role = role
        self.limits = limits
    }

    /// The next step. To be called until it says ``FrameStep/needMore``, or until the caller has had enough: after a
    /// ``FrameStep/close(code:reason:)`` or a ``FrameStep/failed(_:)`` there is nothing but that.
    ///
    /// - Parameters:
    ///   - chunk: what was read from the connection.
    ///   - at: how much of it was taken; 0 at first, the end of the chunk where more is needed.
    public func next(_ chunk: Span<UInt8>, _ at: inout Int, _ state: inout FrameState) -> FrameStep {
        guard !state.hasEnded else {
            at = chunk.count
            return .needMore
        }
        let step: FrameStep
        if let assembly = state.assembly {
            step = assembly.next(chunk, &at, self)
            if assembly.isIdle { state.assembly = nil }
        } else {
            step = idle(chunk, &at, &state)
        }
        switch step {
        case .close, .failed: state.end()
        case .needMore, .message, .ping, .pong: break
        }
        return step
    }

    /// Between two messages: whole frames are read where they stand, all else begins an assembly.
    private func idle(_ chunk: Span<UInt8>, _ at: inout Int, _ state: inout FrameState) -> FrameStep {
        guard at < chunk.count else { return .needMore }
        let read = FrameHeader.read(chunk, from: at, role) { opcode, length in
            opcode == .continuation ? .protocolError : length > limits.bytes && !opcode.isControl ? .messageTooBig : nil
        }
        switch read {
        case .failed(let outcome): return .failed(outcome)
        case .whole(let header) where header.isFinal && header.payloadLength <= chunk.count - at - header.headerLength:
            let start = at + header.headerLength
            at = start + header.payloadLength
            var payload: [UInt8] = []
            payload.append(start..<at, of: chunk)
            Masking.apply(header.mask, to: &payload, from: 0)
            return Self.step(header.opcode, payload)
        case .whole, .needMore:
            let assembly = Assembly()
            state.assembly = assembly
            return assembly.next(chunk, &at, self)
        }
    }

    /// What a whole, unfragmented frame says.
    static func step(_ opcode: FrameHeader.Opcode, _ payload: [UInt8]) -> FrameStep {
        switch opcode {
        case .text:
            var check = UTF8Check()
            guard check.accept(payload.span), check.isComplete else { return .failed(.invalidPayload) }
            return .message(.text, payload)
        case .binary: return .message(.binary, payload)
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        case .close: return CloseBody.step(payload)
        case .continuation: return .failed(.protocolError)
        }
    }
}

extension FrameState {
    mutating func end() {
        assembly = nil
        hasEnded = true
    }
}

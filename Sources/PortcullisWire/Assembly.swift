import PortcullisCore

/// A frame or a message that is not whole: made when a chunk ends inside one, given up with it.
final class Assembly {
    // The frame. Its header is kept here only where a chunk ends inside it.
    private var header = [14 of UInt8](repeating: 0)
    private var headerCount = 0
    private var frame: FrameHeader?
    private var received = 0
    private var control: [UInt8] = []
    // The message that it is a fragment of, or that it interrupts.
    private var kind: MessageKind?
    private var payload: [UInt8] = []
    private var fragments = 0
    private var emptyContinuations = 0
    private var check = UTF8Check()

    var isIdle: Bool {
        frame == nil && headerCount == 0 && kind == nil
    }

    func next(_ chunk: Span<UInt8>, _ at: inout Int, _ reader: FrameReader) -> FrameStep {
        while true {
            let frame: FrameHeader
            if let begun = self.frame {
                frame = begun
            } else {
                switch readHeader(chunk, &at, reader) {
                case .needMore: return .needMore
                case .failed(let outcome): return .failed(outcome)
                case .whole(let header): frame = header
                }
                begin(frame)
            }
            guard take(frame, chunk, &at) else { return .failed(.invalidPayload) }
            guard received == frame.payloadLength else { return .needMore }
            self.frame = nil
            if let step = finish(frame) { return step }
        }
    }

    /// The rules of one frame among others: the order of fragments (RFC 6455, section 5.4), and what a message may cost.
    private func outcome(of opcode: FrameHeader.Opcode, _ length: Int, _ limits: MessageLimits) -> Outcome? {
        if opcode.isControl { return nil }
        guard (opcode == .continuation) == (kind != nil) else { return .protocolError }
        // In this order, so that no announced length can overflow.
        guard length <= limits.bytes - payload.count else { return .messageTooBig }
        guard opcode == .continuation else { return nil }
        guard fragments < limits.fragments else { return .policyViolation }
        return length == 0 && emptyContinuations >= limits.emptyContinuations ? .policyViolation : nil
    }

    private func readHeader(_ chunk: Span<UInt8>, _ at: inout Int, _ reader: FrameReader) -> FrameHeader.Read {
        if headerCount == 0 {
            let read = FrameHeader.read(chunk, from: at, reader.role) { outcome(of: $0, $1, reader.limits) }
            if case .whole(let frame) = read { at += frame.headerLength }
            guard read == .needMore else { return read }
        }
        // Byte by byte: at most 14, and none behind the header is taken.
        while at < chunk.count, headerCount < FrameHeader.longest {
            header[headerCount] = chunk[at]
            headerCount += 1
            at += 1
            let come = header.span.extracting(first: headerCount)
            let read = FrameHeader.read(come, from: 0, reader.role) { outcome(of: $0, $1, reader.limits) }
            if read != .needMore {
                headerCount = 0
                return read
            }
        }
        return .needMore
    }

    private func begin(_ frame: FrameHeader) {
        self.frame = frame
        received = 0
        switch frame.opcode {
        case .text: kind = .text
        case .binary: kind = .binary
        case .continuation where frame.payloadLength == 0: emptyContinuations += 1
        case .continuation, .close, .ping, .pong: break
        }
        if !frame.opcode.isControl { fragments += 1 }
    }

    /// Takes what has come of the payload; false as soon as a text cannot be UTF-8 any more.
    private func take(_ frame: FrameHeader, _ chunk: Span<UInt8>, _ at: inout Int) -> Bool {
        let range = at..<at + min(frame.payloadLength - received, chunk.count - at)
        guard !range.isEmpty else { return true }
        let mask = Masking.rotated(frame.mask, by: received)
        at = range.upperBound
        received += range.count
        if frame.opcode.isControl {
            let start = control.count
            control.append(range, of: chunk)
            Masking.apply(mask, to: &control, from: start)
            return true
        }
        let start = payload.count
        payload.append(range, of: chunk)
        Masking.apply(mask, to: &payload, from: start)
        guard kind == .text else { return true }
        // A second reference, not a copy: gone before the next append.
        let text = payload
        return check.accept(text.span.extracting(start..<text.count))
    }

    /// What the frame, now whole, says; nil where it is a fragment.
    private func finish(_ frame: FrameHeader) -> FrameStep? {
        if frame.opcode.isControl {
            defer { control = [] }
            return FrameReader.step(frame.opcode, control)
        }
        guard frame.isFinal, let kind else { return nil }
        guard check.isComplete else { return .failed(.invalidPayload) }
        defer {
            self.kind = nil
            payload = []
            (fragments, emptyContinuations) = (0, 0)
        }
        return .message(kind, payload)
    }
}

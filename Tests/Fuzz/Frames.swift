import PortcullisCore
import PortcullisWire

/// The first byte chooses the role and how the rest, frames, is cut: any cut says the same.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzFrames(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    guard let mode = bytes.first else { return 0 }
    let frames = Array(bytes.dropFirst())
    let reader = mode & 1 == 0 ? server : client
    let whole = steps([frames], reader)
    precondition(whole.reduce(0) { $0 + payload($1).count } <= frames.count, "more is handed out than came")
    precondition(whole.allSatisfy { payload($0).count <= reader.limits.bytes })
    precondition(steps(frames.map { [$0] }, reader) == whole)
    var pieces: [[UInt8]] = []
    var (at, random) = (0, UInt32(mode) &* 2_654_435_761 | 1)
    while at < frames.count {
        random = random &* 1_664_525 &+ 1_013_904_223
        let end = min(frames.count, at + Int(random >> 24) % (Int(mode >> 4) + 2))
        pieces.append(Array(frames[at..<end]))
        at = end
    }
    precondition(steps(pieces, reader) == whole)
    return 0
}

private func steps(_ chunks: [[UInt8]], _ reader: FrameReader) -> [FrameStep] {
    var state = FrameState()
    var said: [FrameStep] = []
    for chunk in chunks {
        var at = 0
        while true {
            let step = reader.next(chunk.span, &at, &state)
            if step == .needMore { break }
            said.append(step)
        }
        precondition(at == chunk.count, "not all was taken")
    }
    return said
}

private func payload(_ step: FrameStep) -> [UInt8] {
    switch step {
    case .message(let kind, let payload):
        if kind == .text { precondition(String(validating: payload, as: UTF8.self) != nil) }
        return payload
    case .ping(let payload), .pong(let payload): return payload
    case .close(_, let reason):
        precondition(String(validating: reason, as: UTF8.self) != nil)
        return reason
    case .needMore, .failed: return []
    }
}

private let limits = MessageLimits(bytes: 400, fragments: 8, emptyContinuations: 2)
private let server = FrameReader(.server, limits: limits)
private let client = FrameReader(.client, limits: limits)

import PortcullisCore
import PortcullisWire
import TestKit

/// A frame of a client, masked, with whatever header a test wants to be wrong.
func frame(
    _ first: UInt8,
    _ payload: [UInt8] = [],
    mask: [UInt8]? = [0x12, 0xFE, 0x00, 0x9A],
    length: [UInt8]? = nil
) -> [UInt8] {
    var bytes = [first]
    var lengths: [UInt8]
    switch payload.count {
    case ...125: lengths = [UInt8(payload.count)]
    case ...0xFFFF: lengths = [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: lengths = [127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 0xFF) }
    }
    if let length { lengths = length }
    if mask != nil { lengths[0] |= 0x80 }
    bytes += lengths
    guard let mask else { return bytes + payload }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
}

func frame(_ first: UInt8, _ text: String, mask: [UInt8]? = [0x12, 0xFE, 0x00, 0x9A]) -> [UInt8] {
    frame(first, Array(text.utf8), mask: mask)
}

/// All that a connection says, its bytes cut into these chunks; `idle` tells whether nothing was kept at the end.
func steps(
    _ chunks: [[UInt8]],
    _ reader: FrameReader = FrameReader()
) -> (steps: [FrameStep], idle: Bool) {
    var state = FrameState()
    var said: [FrameStep] = []
    for chunk in chunks {
        var at = 0
        while true {
            let step = reader.next(chunk.span, &at, &state)
            if step == .needMore { break }
            said.append(step)
        }
        // What was not said was taken.
        if at != chunk.count { said.append(.failed(.badRequest)) }
    }
    return (said, state.isIdle)
}

func steps(_ bytes: [UInt8], _ reader: FrameReader = FrameReader()) -> [FrameStep] {
    steps([bytes], reader).steps
}

/// The bytes in chunks of random lengths, empty ones among them.
func cut(_ bytes: [UInt8], using generator: inout SeededGenerator) -> [[UInt8]] {
    var chunks: [[UInt8]] = []
    var at = 0
    let longest = Int.random(in: 1...max(1, bytes.count), using: &generator)
    while at < bytes.count {
        let end = min(bytes.count, at + Int.random(in: 0...longest, using: &generator))
        chunks.append(Array(bytes[at..<end]))
        at = end
    }
    return chunks
}

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
public struct UTF8Check: Equatable, Sendable {
    /// How many continuation bytes the sequence that has begun still needs.
    private var missing: UInt8 = 0
    /// The bounds of the next continuation byte: the first one of a sequence may be narrower.
    private var least: UInt8 = 0x80
    private var greatest: UInt8 = 0xBF

    public init() {}

    /// Whether no sequence is left unfinished.
    public var isComplete: Bool {
        missing == 0
    }

    /// Takes the next bytes of a text that comes in pieces; false as soon as no continuation could make it valid.
    public mutating func accept(_ bytes: Span<UInt8>) -> Bool {
        var at = 0
        while at < bytes.count {
            // Most text is ASCII: eight bytes without a high bit need no closer look.
            if missing == 0, at + 8 <= bytes.count, bytes.word(at: at) & 0x8080_8080_8080_8080 == 0 {
                at += 8
                continue
            }
            let byte = bytes[at]
            at += 1
            if missing == 0 {
                if byte >= 0x80, !begin(byte) { return false }
            } else {
                guard byte >= least, byte <= greatest else { return false }
                missing -= 1
                (least, greatest) = (0x80, 0xBF)
            }
        }
        return true
    }

    private mutating func begin(_ lead: UInt8) -> Bool {
        guard let sequence = Self.sequence(lead) else { return false }
        (missing, least, greatest) = (sequence.continuations, sequence.least, sequence.greatest)
        return true
    }

    /// What must follow a lead byte (RFC 3629, section 4); nil where it is none.
    private static func sequence(_ lead: UInt8) -> (continuations: UInt8, least: UInt8, greatest: UInt8)? {
        switch lead {
        case 0xC2...0xDF: (1, 0x80, 0xBF)
        case 0xE0: (2, 0xA0, 0xBF)
        case 0xE1...0xEC, 0xEE...0xEF: (2, 0x80, 0xBF)
        case 0xED: (2, 0x80, 0x9F)
        case 0xF0: (3, 0x90, 0xBF)
        case 0xF1...0xF3: (3, 0x80, 0xBF)
        case 0xF4: (3, 0x80, 0x8F)
        default: nil
        }
    }

    /// The length of the valid sequence that begins at `start` with a byte above 0x7F; nil where none does.
    static func sequenceLength(_ bytes: Span<UInt8>, _ start: Int) -> Int? {
        guard let sequence = sequence(bytes[start]) else { return nil }
        let end = start + 1 + Int(sequence.continuations)
        guard end <= bytes.count, bytes[start + 1] >= sequence.least, bytes[start + 1] <= sequence.greatest else {
            return nil
        }
        for at in start + 1..<end where bytes[at] & 0xC0 != 0x80 { return nil }
        return end - start
    }
}

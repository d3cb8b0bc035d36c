extension StrictJSON {
    /// The bytes of a string that has been checked, one at a time and without its escapes: to compare texts that a stranger wrote takes no
    /// memory, whatever is escaped in them.
    struct Unescaped {
        private var at: Int
        private let end: Int
        /// Bytes of a scalar that are still to come, the next in the lowest place.
        private var held: UInt32 = 0

        init(_ node: Node) {
            at = Int(node.start)
            end = Int(node.end)
        }

        mutating func next(_ bytes: Span<UInt8>) -> UInt8? {
            if held != 0 {
                defer { held >>= 8 }
                return UInt8(truncatingIfNeeded: held)
            }
            guard at < end else { return nil }
            guard bytes[at] == UInt8(ascii: "\\") else {
                at += 1
                return bytes[at - 1]
            }
            at += 2
            switch bytes[at - 1] {
            case UInt8(ascii: "b"): return 0x08
            case UInt8(ascii: "f"): return 0x0C
            case UInt8(ascii: "n"): return 0x0A
            case UInt8(ascii: "r"): return 0x0D
            case UInt8(ascii: "t"): return 0x09
            case UInt8(ascii: "u"): return scalar(bytes)
            default: return bytes[at - 1]
            }
        }

        /// The first byte of `\uXXXX`, or of a pair of them; the others are held.
        private mutating func scalar(_ bytes: Span<UInt8>) -> UInt8 {
            var scalar = StrictJSON.hexadecimal(bytes, at) ?? 0xFFFD
            at += 4
            if scalar >= 0xD800, scalar < 0xDC00 {
                let low = StrictJSON.hexadecimal(bytes, at + 2) ?? 0xDC00
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low & 0x3FF)
                at += 6
            }
            // UTF-8 (RFC 3629, section 3). No byte behind the first is zero, so `held` ends by itself.
            switch scalar {
            case ..<0x80: return UInt8(truncatingIfNeeded: scalar)
            case ..<0x800:
                held = 0x80 | scalar & 0x3F
                return UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6)
            case ..<0x10000:
                held = 0x80 | scalar >> 6 & 0x3F | (0x80 | scalar & 0x3F) << 8
                return UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12)
            default:
                held = 0x80 | scalar >> 12 & 0x3F | (0x80 | scalar >> 6 & 0x3F) << 8 | (0x80 | scalar & 0x3F) << 16
                return UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18)
            }
        }
    }

    /// Whether two strings have the same value.
    static func sameValue(_ bytes: Span<UInt8>, _ left: Node, _ right: Node) -> Bool {
        var (one, other) = (Unescaped(left), Unescaped(right))
        while true {
            let (a, b) = (one.next(bytes), other.next(bytes))
            if a != b { return false }
            if a == nil { return true }
        }
    }

    /// Whether a string's value is these letters.
    static func sameValue(_ bytes: Span<UInt8>, _ node: Node, _ letters: UnsafeBufferPointer<UInt8>) -> Bool {
        var text = Unescaped(node)
        var at = 0
        while let byte = text.next(bytes) {
            guard at < letters.count, letters[at] == byte else { return false }
            at += 1
        }
        return at == letters.count
    }
}

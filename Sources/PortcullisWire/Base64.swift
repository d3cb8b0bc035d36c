/// Base 64 (RFC 4648), strictly: no foreign characters, no set bits behind the last byte, so that no two texts mean the same bytes.
public enum Base64 {
    /// Appends the standard encoding with padding (section 4).
    public static func append(_ bytes: Span<UInt8>, to text: inout [UInt8]) {
        var at = 0
        while at < bytes.count {
            let left = bytes.count - at
            let group =
                UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0)
                | (left > 2 ? UInt32(bytes[at + 2]) : 0)
            let padding = UInt32(UInt8(ascii: "="))
            let third = left > 1 ? UInt32(digit(group >> 6)) : padding
            let fourth = left > 2 ? UInt32(digit(group)) : padding
            let digits = UInt32(digit(group >> 18)) | UInt32(digit(group >> 12)) << 8 | third << 16 | fourth << 24
            // Safe: a number is read as the bytes it is made of.
            withUnsafeBytes(of: digits.littleEndian) { text.append(contentsOf: $0) }
            at += 3
        }
    }

    /// The URL-safe encoding without padding (section 5).
    public static func encodeURLSafe(_ bytes: Span<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        append(bytes, to: &text)
        while text.last == UInt8(ascii: "=") { text.removeLast() }
        return text.map {
            $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0
        }
    }

    /// Each step is where the alphabet goes on with another range: A, a, 0, +, /. Without a branch: which it is nobody can guess.
    private static func digit(_ number: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: number & 63)
        var shift = UInt8(ascii: "A")
        shift &+= value >= 26 ? 6 : 0
        shift &-= value >= 52 ? 75 : 0
        shift &-= value >= 62 ? 15 : 0
        shift &+= value >= 63 ? 3 : 0
        return value &+ shift
    }

    /// The value of a digit of the URL-safe alphabet (section 5).
    private static func urlSafeValue(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }

    private static func value(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        case UInt8(ascii: "-"), UInt8(ascii: "_"): nil
        default: urlSafeValue(digit)
        }
    }

    /// Whether these are exactly 16 bytes in the standard encoding: what a `Sec-WebSocket-Key` must be (RFC 6455, section 4.2.1).
    static func isNonce(_ range: Range<Int>, of bytes: Span<UInt8>) -> Bool {
        guard range.count == 24 else { return false }
        let digits = range.lowerBound..<range.lowerBound + 22
        let alphabet = ByteSet.base64
        var areDigits: UInt64 = 1
        for at in digits { areDigits &= alphabet.has(bytes[at]) }
        guard areDigits == 1, let last = value(bytes[digits.upperBound - 1]) else { return false }
        return last & 15 == 0 && bytes.equals(digits.upperBound..<range.upperBound, "==")
    }

    /// The bytes of a URL-safe text without padding (section 5); nil where it is none.
    public static func decodeURLSafe(_ range: Range<Int>, of text: Span<UInt8>) -> [UInt8]? {
        decode(range, of: text, urlSafeValue)
    }

    /// The bytes of a text of the standard alphabet whose padding was left out; nil where it is none.
    static func decodeUnpadded(_ range: Range<Int>, of text: Span<UInt8>) -> [UInt8]? {
        decode(range, of: text, value)
    }

    private static func decode(
        _ range: Range<Int>,
        of text: Span<UInt8>,
        _ value: (UInt8) -> UInt32?
    ) -> [UInt8]? {
        guard range.count % 4 != 1 else { return nil }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count / 4 * 3 + 2)
        var (group, bits): (UInt32, UInt32) = (0, 0)
        for at in range {
            guard let value = value(text[at]) else { return nil }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                decoded.append(UInt8(truncatingIfNeeded: group >> bits))
                group &= 1 << bits - 1
            }
        }
        return group == 0 ? decoded : nil
    }
}

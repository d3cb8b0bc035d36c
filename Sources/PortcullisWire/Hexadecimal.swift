/// Base 16 (RFC 4648, section 8).
public enum Hexadecimal {
    /// The value of one digit, either case.
    public static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The same digit in lower case.
    public static func lowercase(_ digit: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(digit) ? digit | 0x20 : digit
    }

    /// Lower-case digits, two a byte.
    public static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        append(bytes, to: &text)
        return text
    }

    public static func append(_ bytes: Span<UInt8>, to text: inout [UInt8]) {
        var at = 0
        while at + 4 <= bytes.count {
            let digits = EightBytes.hexadecimal(of: bytes.four(at: at))
            // Safe: a number is read as the bytes it is made of.
            withUnsafeBytes(of: digits.bits.littleEndian) { text.append(contentsOf: $0) }
            at += 4
        }
        for at in at..<bytes.count {
            text.append(digit(bytes[at] >> 4))
            text.append(digit(bytes[at] & 15))
        }
    }

    public static func encode(_ bytes: [UInt8]) -> [UInt8] {
        encode(bytes.span)
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? value + UInt8(ascii: "0") : value - 10 + UInt8(ascii: "a")
    }
}

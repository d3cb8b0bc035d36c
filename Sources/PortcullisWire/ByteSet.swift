/// A set of ASCII characters, as two words of bits.
struct ByteSet: Sendable {
    private let low: UInt64
    private let high: UInt64

    /// The set of these characters, and of letters and digits.
    private init(alphanumericsAnd others: StaticString) {
        var (low, high): (UInt64, UInt64) = (0, 0)
        func insert(_ byte: UInt8) {
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
        }
        for byte in UInt8(ascii: "0")...UInt8(ascii: "9") { insert(byte) }
        for byte in UInt8(ascii: "A")...UInt8(ascii: "Z") { insert(byte) }
        for byte in UInt8(ascii: "a")...UInt8(ascii: "z") { insert(byte) }
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        others.withUTF8Buffer { for byte in $0 where byte < 128 { insert(byte) } }
        (self.low, self.high) = (low, high)
    }

    func contains(_ byte: UInt8) -> Bool {
        byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1
    }

    /// 1 where the byte is in the set, else 0. Without a branch: for texts of which nobody can guess what comes next.
    func has(_ byte: UInt8) -> UInt64 {
        let half = byte & 64 == 0 ? low : high
        return half >> UInt64(byte & 63) & UInt64(~byte >> 7)
    }

    /// `tchar` (RFC 9110, section 5.6.2).
    static let token = ByteSet(alphanumericsAnd: "!#$%&'*+-.^_`|~")
    /// `pchar` without the percent sign, and the slash (RFC 3986, section 3.3).
    static let path = ByteSet(alphanumericsAnd: "-._~!$&'()*+,;=:@/")
    /// What a query may hold besides escapes (RFC 3986, section 3.4).
    static let query = ByteSet(alphanumericsAnd: "-._~!$&'()*+,;=:@/?")
    /// `reg-name` without escapes (RFC 3986, section 3.2.2).
    static let registeredName = ByteSet(alphanumericsAnd: "-._~!$&'()*+,;=")
    /// What stands between the brackets of an IP literal.
    static let literalAddress = ByteSet(alphanumericsAnd: "-._~!$&'()*+,;=:")
    /// `b64token` without its padding (RFC 6750, section 2.1).
    static let bearer = ByteSet(alphanumericsAnd: "-._~+/")

    /// The standard alphabet (RFC 4648, section 4).
    static let base64 = ByteSet(alphanumericsAnd: "+/")

    static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

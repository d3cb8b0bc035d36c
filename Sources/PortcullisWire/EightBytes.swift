/// Eight bytes in one number, the first in the lowest place, asked about all at once: most of a handshake is one long token, and a byte at a
/// time is what it would cost most to look at.
///
/// An answer is a number, too: it has the top bit of each byte of which something is so.
struct EightBytes {
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    let bits: UInt64

    private static func each(_ byte: UInt8) -> UInt64 {
        UInt64(byte) &* 0x0101_0101_0101_0101
    }

    /// Which are ASCII, and in a range of it.
    func within(_ range: ClosedRange<UInt8>) -> UInt64 {
        // Seven bits and at most 0x80 more: no byte carries into the next.
        let seven = bits & ~Self.tops
        let isFrom = seven &+ Self.each(0x80 &- range.lowerBound)
        let isBehind = seven &+ Self.each(0x7F &- range.upperBound)
        return isFrom & ~isBehind & ~bits & Self.tops
    }

    func equal(_ byte: UInt8) -> UInt64 {
        within(byte...byte)
    }

    /// Which are not ASCII.
    var foreign: UInt64 {
        bits & Self.tops
    }

    /// Letters of ASCII in lower case, all else as it was.
    var lowercased: UInt64 {
        bits | within(UInt8(ascii: "A")...UInt8(ascii: "Z")) >> 2
    }

    /// Whether all are letters of `b64token` (RFC 6750, section 2.1), its padding aside.
    var areBearerLetters: Bool {
        let folded = EightBytes(bits: bits | Self.each(0x20))
        // The first range is of what stands between hyphen and nine: `-`, `.`, `/` and the digits.
        let good =
            folded.within(UInt8(ascii: "a")...UInt8(ascii: "z")) | within(UInt8(ascii: "-")...UInt8(ascii: "9"))
            | equal(UInt8(ascii: "+")) | equal(UInt8(ascii: "_")) | equal(UInt8(ascii: "~"))
        return good == Self.tops
    }

    /// The lower-case digits of four bytes, two for each.
    static func hexadecimal(of bytes: UInt32) -> EightBytes {
        var digits = UInt64(bytes)
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits >> 4 | digits << 8) & each(0x0F)
        // One where the digit is a letter: these do not follow upon nine.
        let areLetters = ((digits &+ each(0x80 - 10)) & tops) >> 7
        return EightBytes(bits: digits &+ each(UInt8(ascii: "0")) &+ areLetters &* 39)
    }

    /// The place of the first byte of an answer; 8 where it has none.
    static func first(_ answer: UInt64) -> Int {
        answer.trailingZeroBitCount / 8
    }
}

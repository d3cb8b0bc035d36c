/// Percent-encoding (RFC 3986, section 2.1).
public enum PercentEncoding {
    /// The bytes with each escape replaced by the byte it stands for; nil where one is broken. A plus sign stays one.
    public static func decode(_ range: Range<Int>, of bytes: Span<UInt8>) -> [UInt8]? {
        guard bytes.firstIndex(of: UInt8(ascii: "%"), in: range) != nil else { return bytes.copy(range) }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            if bytes[at] == UInt8(ascii: "%") {
                guard at + 2 < range.upperBound, let high = Hexadecimal.value(of: bytes[at + 1]),
                    let low = Hexadecimal.value(of: bytes[at + 2])
                else { return nil }
                decoded.append(high << 4 | low)
                at += 3
            } else {
                decoded.append(bytes[at])
                at += 1
            }
        }
        return decoded
    }

    public static func decode(_ bytes: [UInt8]) -> [UInt8]? {
        decode(bytes.indices, of: bytes.span)
    }
}

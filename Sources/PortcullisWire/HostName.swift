/// A host and a port as `Host` and `Origin` write them: uri-host [ ":" port ] (RFC 9110, section 7.2).
struct HostName: Equatable {
    /// Where the name stands, brackets included.
    let name: Range<Int>
    /// nil where none, or an empty one, is written.
    let port: UInt16?

    /// nil where the bytes are no host; an empty name is none.
    init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard let first = range.first else { return nil }
        let end: Int
        if bytes[first] == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]"), in: range), bracket > first + 1,
                bytes.allSatisfy(first + 1..<bracket, .literalAddress)
            else { return nil }
            end = bracket + 1
        } else {
            end = bytes.firstIndex(of: UInt8(ascii: ":"), in: range) ?? range.upperBound
            guard end > first, Self.isRegisteredName(bytes, first..<end) else { return nil }
        }
        name = first..<end
        guard end < range.upperBound else {
            port = nil
            return
        }
        let digits = end + 1..<range.upperBound
        guard bytes[end] == UInt8(ascii: ":"), digits.count <= 5 else { return nil }
        var number = 0
        for at in digits {
            guard ByteSet.isDigit(bytes[at]) else { return nil }
            number = number * 10 + Int(bytes[at] - UInt8(ascii: "0"))
        }
        guard number <= UInt16.max else { return nil }
        port = digits.isEmpty ? nil : UInt16(number)
    }

    private static func isRegisteredName(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var at = range.lowerBound
        while at < range.upperBound {
            if bytes[at] == UInt8(ascii: "%") {
                guard at + 2 < range.upperBound, Hexadecimal.value(of: bytes[at + 1]) != nil,
                    Hexadecimal.value(of: bytes[at + 2]) != nil
                else { return false }
                at += 3
            } else if ByteSet.registeredName.contains(bytes[at]) {
                at += 1
            } else {
                return false
            }
        }
        return true
    }
}

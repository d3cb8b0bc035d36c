/// The cookies of a request, one after the other (RFC 6265, section 4.2.1, read as section 5.4 sends them). Most are somebody else's, and
/// may look as they like: a pair without an equals sign is passed over, and a value is whatever stands before the semicolon.
struct Cookies {
    struct Cookie {
        let name: Range<Int>
        /// Without the quotation marks that may stand around a value.
        let value: Range<Int>
    }

    private var field = 0
    private var at: Int?

    /// More than one `Cookie` line is no client's habit, but what an intermediary may make of one (RFC 9113, section 8.2.3): they are
    /// read as one.
    mutating func next(in head: borrowing RequestHead, _ bytes: Span<UInt8>) -> Cookie? {
        while field < head.fields.count {
            let line = head.fields[field].value
            guard head.fields[field].name == .cookie, (at ?? line.lowerBound) < line.upperBound else {
                field += 1
                at = nil
                continue
            }
            let start = at ?? line.lowerBound
            let end = bytes.firstIndex(of: UInt8(ascii: ";"), in: start..<line.upperBound) ?? line.upperBound
            at = end + 1
            guard let equals = bytes.firstIndex(of: UInt8(ascii: "="), in: start..<end) else { continue }
            let value = bytes.trimmed(equals + 1..<end)
            return Cookie(name: bytes.trimmed(start..<equals), value: Self.unquoted(value, bytes))
        }
        return nil
    }

    private static func unquoted(_ value: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int> {
        let quote = UInt8(ascii: "\"")
        guard value.count >= 2, bytes[value.lowerBound] == quote, bytes[value.upperBound - 1] == quote else {
            return value
        }
        return value.lowerBound + 1..<value.upperBound - 1
    }
}

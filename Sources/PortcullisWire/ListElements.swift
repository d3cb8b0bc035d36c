/// The elements of a comma-separated header, one after the other, over all lines of its name (RFC 9110, sections 5.3 and 5.6.1).
/// Empty ones are passed over, as a recipient must.
struct ListElements {
    private let name: FieldName
    private var field = 0
    private var at: Int?

    init(_ name: FieldName) {
        self.name = name
    }

    mutating func next(in head: borrowing RequestHead, _ bytes: Span<UInt8>) -> Range<Int>? {
        while field < head.fields.count {
            let value = head.fields[field].value
            guard head.fields[field].name == name, (at ?? value.lowerBound) < value.upperBound else {
                field += 1
                at = nil
                continue
            }
            let start = at ?? value.lowerBound
            let comma = bytes.firstIndex(of: UInt8(ascii: ","), in: start..<value.upperBound) ?? value.upperBound
            at = comma + 1
            let element = bytes.trimmed(start..<comma)
            if !element.isEmpty { return element }
        }
        return nil
    }

    /// Whether a header lists this word, in any case; `word` is in lower case.
    static func contains(
        _ word: StaticString,
        _ name: FieldName,
        _ head: borrowing RequestHead,
        _ bytes: Span<UInt8>
    ) -> Bool {
        var elements = ListElements(name)
        while let element = elements.next(in: head, bytes) {
            if bytes.equalsIgnoringCase(element, word) { return true }
        }
        return false
    }
}

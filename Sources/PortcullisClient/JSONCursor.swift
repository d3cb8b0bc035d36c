/// A walk over a JSON text (RFC 8259) that leaves the text as it is: it finds where values begin and end.
///
/// Every step says whether the grammar held; a cursor that has failed once is thrown away.
struct JSONCursor {
    let bytes: [UInt8]
    private(set) var position = 0
    /// A bound on the recursion, so that no text can exhaust the stack.
    static let maximumDepth = 64

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private var current: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    var isAtEnd: Bool {
        position == bytes.count
    }

    mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = current, UInt32(byte) == character.value else { return false }
        position += 1
        return true
    }

    /// Passes one value and tells where it stood.
    mutating func value(depth: Int = 0) -> Range<Int>? {
        guard depth <= Self.maximumDepth, let byte = current else { return nil }
        let start = position
        let isWhole =
            switch byte {
            case UInt8(ascii: "{"): object(depth: depth) { _, _ in }
            case UInt8(ascii: "["): array(depth: depth) { _ in }
            case UInt8(ascii: "\""): string() != nil
            case UInt8(ascii: "t"): literal("true")
            case UInt8(ascii: "f"): literal("false")
            case UInt8(ascii: "n"): literal("null")
            default: number()
            }
        return isWhole ? start..<position : nil
    }

    /// Passes an object and hands out where the name (between its quotes) and the value of each member stand.
    mutating func object(depth: Int, member: (_ name: Range<Int>, _ value: Range<Int>) -> Void) -> Bool {
        guard take("{") else { return false }
        skipSpace()
        if take("}") { return true }
        while true {
            skipSpace()
            guard let name = string() else { return false }
            skipSpace()
            guard take(":") else { return false }
            skipSpace()
            guard let value = value(depth: depth + 1) else { return false }
            member(name, value)
            skipSpace()
            if take("}") { return true }
            guard take(",") else { return false }
        }
    }

    /// Passes an array and hands out where each element stands.
    mutating func array(depth: Int, element: (Range<Int>) -> Void) -> Bool {
        guard take("[") else { return false }
        skipSpace()
        if take("]") { return true }
        while true {
            skipSpace()
            guard let value = value(depth: depth + 1) else { return false }
            element(value)
            skipSpace()
            if take("]") { return true }
            guard take(",") else { return false }
        }
    }

    /// Passes a string and tells where the text between its quotes stands.
    private mutating func string() -> Range<Int>? {
        guard take("\"") else { return nil }
        let start = position
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return start..<(position - 1)
            case UInt8(ascii: "\\"): guard escape() else { return nil }
            case 0..<0x20: return nil
            default: continue
            }
        }
        return nil
    }

    private mutating func escape() -> Bool {
        guard let byte = current else { return false }
        position += 1
        guard byte == UInt8(ascii: "u") else { return "\"\\/bfnrt".utf8.contains(byte) }
        for _ in 0..<4 {
            guard let digit = current, Character(Unicode.Scalar(digit)).isHexDigit else { return false }
            position += 1
        }
        return true
    }

    private mutating func literal(_ word: StaticString) -> Bool {
        for byte in word.description.utf8 {
            guard current == byte else { return false }
            position += 1
        }
        return true
    }

    private mutating func digits() -> Bool {
        let start = position
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        return position > start
    }

    private mutating func number() -> Bool {
        _ = take("-")
        if !take("0") { guard digits() else { return false } }
        if take(".") { guard digits() else { return false } }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() else { return false }
        }
        return true
    }
}

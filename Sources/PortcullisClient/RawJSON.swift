/// A JSON value (RFC 8259) as the text that it came as: numbers keep their digits, objects their order.
public struct RawJSON: Hashable, Sendable, CustomStringConvertible {
    /// The text of one valid value, without space around it.
    public let text: String

    /// Nil where the text is not one whole JSON value, or is nested more than 64 deep.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        var cursor = JSONCursor(bytes)
        cursor.skipSpace()
        guard let range = cursor.value() else { return nil }
        cursor.skipSpace()
        guard cursor.isAtEnd else { return nil }
        self.text = String(decoding: bytes[range], as: UTF8.self)
    }

    /// A JSON string that holds the text.
    public init(string: String) {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..<"\u{20}": text += RawJSON.escape(UInt16(scalar.value))
            default: text.unicodeScalars.append(scalar)
            }
        }
        self.text = text + "\""
    }

    /// For a slice of a text that was checked as a whole.
    private init(checked text: String) {
        self.text = text
    }

    public static let null = RawJSON(checked: "null")

    public var description: String {
        text
    }

    public var isNull: Bool {
        text == "null"
    }

    /// The number, rounded to a double; nil where it is none, or is too large for one.
    public var number: Double? {
        guard let first = text.utf8.first, first == 0x2D || (0x30...0x39).contains(first) else { return nil }
        guard let number = Double(text), number.isFinite else { return nil }
        return number
    }

    /// The number where it is a whole one; nil where it is none.
    public var integer: Int? {
        Int(text) ?? number.flatMap { Int(exactly: $0) }
    }

    /// The text of a string, unescaped; half a surrogate pair becomes U+FFFD.
    public var string: String? {
        guard text.utf8.first == UInt8(ascii: "\"") else { return nil }
        return Self.unescape(Array(text.utf8.dropFirst().dropLast())[...])
    }

    /// The members of an object; of two with one name, the later.
    public var members: [String: RawJSON]? {
        let bytes = Array(text.utf8)
        var members: [String: RawJSON] = [:]
        var cursor = JSONCursor(bytes)
        let isObject = cursor.object(depth: 0) { name, value in
            members[Self.unescape(bytes[name])] = RawJSON(checked: String(decoding: bytes[value], as: UTF8.self))
        }
        return isObject ? members : nil
    }

    /// The elements of an array.
    public var elements: [RawJSON]? {
        let bytes = Array(text.utf8)
        var elements: [RawJSON] = []
        var cursor = JSONCursor(bytes)
        let isArray = cursor.array(depth: 0) { value in
            elements.append(RawJSON(checked: String(decoding: bytes[value], as: UTF8.self)))
        }
        return isArray ? elements : nil
    }

    static func escape(_ unit: UInt16) -> String {
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    private static func unescape(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.contains(UInt8(ascii: "\\")) else { return String(decoding: bytes, as: UTF8.self) }
        // UTF-16, because that is what \u speaks; what is no pair in it is repaired at the end.
        var units: [UInt16] = []
        var rest = Substring(decoding: bytes, as: UTF8.self).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar == "\\", let escaped = rest.popFirst() else {
                units += Array(String(scalar).utf16)
                continue
            }
            switch escaped {
            case "b": units.append(0x08)
            case "f": units.append(0x0C)
            case "n": units.append(0x0A)
            case "r": units.append(0x0D)
            case "t": units.append(0x09)
            case "u":
                units.append(UInt16(String(String.UnicodeScalarView(rest.prefix(4))), radix: 16) ?? 0xFFFD)
                rest = rest.dropFirst(4)
            default: units.append(UInt16(truncatingIfNeeded: escaped.value))
            }
        }
        return String(decoding: units, as: UTF16.self)
    }
}

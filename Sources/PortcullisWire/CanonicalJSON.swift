public import PortcullisCore

/// The one text of a JSON value that everybody who signs it arrives at (RFC 8785): members sorted, no spaces, numbers as ECMAScript
/// writes them, only the escapes that must be.
public enum CanonicalJSON {
    /// The text of a parsed value.
    /// - Parameter leavingOut: a member of the outermost object that is left out.
    /// - Returns: nil where a number is beyond a double.
    public static func encode(
        _ json: StrictJSON,
        _ node: Int = 0,
        in bytes: [UInt8],
        leavingOut: Identifier? = nil
    ) -> [UInt8]? {
        var text: [UInt8] = []
        return append(json, node, bytes, leavingOut, to: &text) ? text : nil
    }

    private static func append(
        _ json: StrictJSON,
        _ node: Int,
        _ bytes: [UInt8],
        _ leavingOut: Identifier?,
        to text: inout [UInt8]
    ) -> Bool {
        switch json.kind(of: node) {
        case .null, .bool: text += json.raw(node, in: bytes.span)
        case .string: appendString(json.string(node, in: bytes.span)?.bytes ?? [], to: &text)
        case .number:
            guard let number = json.number(node, in: bytes.span) else { return false }
            text += Self.number(number)
        case .array:
            text.append(UInt8(ascii: "["))
            var isFirst = true
            for element in json.elements(of: node) {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                guard append(json, element, bytes, nil, to: &text) else { return false }
            }
            text.append(UInt8(ascii: "]"))
        case .object: return appendObject(json, node, bytes, leavingOut, to: &text)
        }
        return true
    }

    private static func appendObject(
        _ json: StrictJSON,
        _ node: Int,
        _ bytes: [UInt8],
        _ leavingOut: Identifier?,
        to text: inout [UInt8]
    ) -> Bool {
        var members: [(units: [UInt16], name: Identifier, value: Int)] = []
        for (nameNode, value) in json.members(of: node) {
            guard let name = json.string(nameNode, in: bytes.span), name != leavingOut else { continue }
            // Sorted by the code units of UTF-16 (section 3.2.3), which is not the order of the bytes beyond U+FFFF.
            members.append((Array(name.description.utf16), name, value))
        }
        members.sort { $0.units.lexicographicallyPrecedes($1.units) }
        text.append(UInt8(ascii: "{"))
        for (index, member) in members.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            appendString(member.name.bytes, to: &text)
            text.append(UInt8(ascii: ":"))
            guard append(json, member.value, bytes, nil, to: &text) else { return false }
        }
        text.append(UInt8(ascii: "}"))
        return true
    }

    /// Section 3.2.2.2.
    private static func appendString(_ value: [UInt8], to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in value {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0x08: text += Array(#"\b"#.utf8)
            case 0x09: text += Array(#"\t"#.utf8)
            case 0x0A: text += Array(#"\n"#.utf8)
            case 0x0C: text += Array(#"\f"#.utf8)
            case 0x0D: text += Array(#"\r"#.utf8)
            case 0..<0x20: text += Array(#"\u00"#.utf8) + Hexadecimal.encode([byte])
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    /// ECMA-262, section 6.1.6.1.20 (Number::toString): the fewest digits that mean the number, and where the point stands among them.
    static func number(_ number: Double) -> [UInt8] {
        if number == 0 { return [UInt8(ascii: "0")] }
        // The description has the same digits, written in another way: `1e-07`, `100.0`, `1.5e+16`.
        let parts = Array(number.magnitude.description.utf8).split(separator: UInt8(ascii: "e"))
        let mantissa = parts.first.map { Array($0) } ?? []
        let exponent = parts.count > 1 ? Int(String(decoding: parts[1], as: UTF8.self)) ?? 0 : 0
        let point = mantissa.firstIndex(of: UInt8(ascii: ".")) ?? mantissa.count
        var digits = mantissa.filter { $0 != UInt8(ascii: ".") }
        let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leading)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        /// The value is 0.digits × 10^scale.
        let scale = point - leading + exponent
        let zero = UInt8(ascii: "0")
        var text: [UInt8] = number < 0 ? [UInt8(ascii: "-")] : []
        switch scale {
        case digits.count...21: text += digits + Array(repeating: zero, count: scale - digits.count)
        case 1...21: text += digits[..<scale] + [UInt8(ascii: ".")] + digits[scale...]
        case -5...0: text += [zero, UInt8(ascii: ".")] + Array(repeating: zero, count: -scale) + digits
        default:
            text += digits[..<1]
            if digits.count > 1 { text += [UInt8(ascii: ".")] + digits[1...] }
            text += Array("e\(scale > 0 ? "+" : "-")\((scale - 1).magnitude)".utf8)
        }
        return text
    }
}

/// How texts are made safe for one line of a log.
enum LogText {
    /// The text with control characters (C0, DEL, C1, line and paragraph separators) written as in JSON, so that what a peer
    /// sends can neither begin a line nor move a terminal's cursor; with `quotes`, also `"` and `\`.
    static func escaped(_ text: String, quotes: Bool = false) -> String {
        guard text.unicodeScalars.contains(where: { mustEscape($0) || (quotes && ($0 == "\"" || $0 == "\\")) }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\"" where quotes, "\\" where quotes: result += "\\\(scalar)"
            case _ where mustEscape(scalar): result += "\\u" + hexadecimal(scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The text as the value of `key=value`: in quotes where it is empty or holds what would end it.
    static func value(_ text: String) -> String {
        let isPlain = !text.isEmpty && !text.contains { $0.isWhitespace || $0 == "\"" || $0 == "=" || $0 == "\\" }
        return isPlain ? escaped(text) : "\"\(escaped(text, quotes: true))\""
    }

    /// The text as a JSON string.
    static func json(_ text: String) -> String { "\"\(escaped(text, quotes: true))\"" }

    private static func mustEscape(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // Bidirectional controls too: they make a terminal show a line in another order than it was written.
        case 0...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

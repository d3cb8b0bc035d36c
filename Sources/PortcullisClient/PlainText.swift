/// Text of a peer made harmless for a terminal: what would move the cursor, change colours or turn the direction of writing is
/// shown, not done.
package enum PlainText {
    /// The text on one line, with everything that is not plainly visible as `\n`, `\t` or `\u{XXXX}`.
    ///
    /// - Parameter limit: how many characters of Unicode to show at most; the rest is counted.
    package static func clean(_ text: some StringProtocol, limit: Int = .max) -> String {
        var result = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            count += 1
            guard count <= limit else { continue }
            switch scalar {
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case _ where isHarmful(scalar):
                result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
            default: result.append(scalar)
            }
        }
        let rest = count > limit ? " … (\(count - limit) more)" : ""
        return String(result) + rest
    }

    /// A valid JSON text on one line, the same in value: control characters can only stand in its strings, where they have escapes.
    package static func line(of json: RawJSON) -> String {
        var result = String.UnicodeScalarView()
        for scalar in json.text.unicodeScalars {
            switch scalar {
            case "\n", "\r", "\t":
                result.append(" ")
            case _ where isHarmful(scalar):
                for unit in String(scalar).utf16 { result.append(contentsOf: RawJSON.escape(unit).unicodeScalars) }
            default:
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        // Bidirectional controls and tags; the joiners are what many scripts and emoji are made of.
        case .format: scalar != "\u{200C}" && scalar != "\u{200D}"
        default: false
        }
    }
}

extension Settings {
    /// The effective configuration as YAML, every key with its value, secrets masked. What is unset says what that means.
    public var effectiveYAML: String {
        var lines: [String] = []
        let rows = SettingsSchema.rows(of: self).map { (path: $0.components[...], row: $0) }
        SettingsText.write(rows, of: self, depth: 0, into: &lines)
        return lines.joined(separator: "\n") + "\n"
    }
}

private enum SettingsText {
    typealias Entry = (path: ArraySlice<String>, row: SettingRow<Settings>)

    static func write(_ entries: [Entry], of settings: Settings, depth: Int, into lines: inout [String]) {
        let indentation = String(repeating: "  ", count: depth)
        var done: Set<String> = []
        for entry in entries {
            guard let part = entry.path.first, done.insert(part).inserted else { continue }
            if entry.path.count == 1 {
                write(entry.row, named: part, of: settings, indentation, into: &lines)
                continue
            }
            lines.append("\(indentation)\(plain(part)):")
            let inner = entries.filter { $0.path.first == part }.map { ($0.path.dropFirst(), $0.row) }
            write(inner, of: settings, depth: depth + 1, into: &lines)
        }
    }

    private static func write(
        _ row: SettingRow<Settings>,
        named name: String,
        of settings: Settings,
        _ indentation: String,
        into lines: inout [String]
    ) {
        let head = "\(indentation)\(plain(name)):"
        switch row.show(settings) {
        case .unset:
            lines.append("\(head) null # \(row.unset ?? "unset")")
        case .one(let text):
            lines.append("\(head) \(plain(text))")
        case .many(let texts):
            lines.append("\(head) [\(texts.map(plain).joined(separator: ", "))]")
        case .pairs(let pairs) where pairs.isEmpty:
            lines.append("\(head) {}")
        case .pairs(let pairs):
            lines.append(head)
            for pair in pairs { lines.append("\(indentation)  \(plain(pair.key)): \(plain(pair.value))") }
        }
    }

    /// A text as it may stand in YAML: in quotes, unless it is surely a plain word.
    private static func plain(_ text: String) -> String {
        let isPlain =
            text.first.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "/") } == true
            && text.unicodeScalars.allSatisfy { scalar in
                switch scalar.value {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E, 0x2F, 0x5F: true
                default: false
                }
            } && !["null", "Null", "NULL"].contains(text)
        return isPlain ? text : "\"\(LogText.escaped(text, quotes: true))\""
    }
}

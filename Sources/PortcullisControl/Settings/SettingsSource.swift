/// The values of one layer by dotted key, and where each stands.
struct SettingsLayer {
    /// The parts of a key whose name the operator may have chosen, with its value.
    struct Entry {
        let components: [String]
        let value: RawValue
        let place: String
    }

    private(set) var entries: [String: Entry] = [:]
    var problems: [SettingsProblem] = []

    mutating func insert(_ components: [String], _ value: RawValue, at place: String) {
        entries[components.joined(separator: ".")] = Entry(components: components, value: value, place: place)
    }

    /// A text of the environment or a flag, in the form that its key has.
    static func value(_ text: String, as form: SettingForm) -> RawValue {
        guard form != .one else { return .one(text) }
        let parts = text.split(separator: ",", omittingEmptySubsequences: true)
        return .many(parts.map { $0.trimmingSpaces() }.filter { !$0.isEmpty })
    }
}

/// The keys that may be written: the fixed ones, and those of the names that were met.
struct SettingsNames {
    private(set) var rows: [String: SettingRow<Settings>]
    /// The dotted names of groups of keys.
    private var groups: Set<String> = []

    init() {
        self.rows = Dictionary(SettingsSchema.rows.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for row in SettingsSchema.rows { insertGroups(of: row.components) }
        for group in SettingsSchema.groups { insertGroups(of: group.components + [""]) }
    }

    private mutating func insertGroups(of components: [String]) {
        for length in 1..<max(components.count, 1) { groups.insert(components.prefix(length).joined(separator: ".")) }
    }

    func isGroup(_ name: String) -> Bool { groups.contains(name) }

    /// The group whose keys stand below names of the operator's.
    func namedGroup(_ name: String) -> SettingGroup? {
        SettingsSchema.groups.first { $0.name == name }
    }

    /// Adds the keys of a name.
    mutating func add(_ name: String, to group: SettingGroup) {
        for row in group.rows(name) where rows[row.name] == nil {
            rows[row.name] = row
            insertGroups(of: row.components)
        }
    }

    /// What the sentence about an unknown name ends with.
    func advice(for name: String) -> String {
        if let nearest = NearestName.to(name, among: rows.keys.sorted() + groups.sorted()) {
            return "is not a setting: did you mean \(nearest)?"
        }
        return "is not a setting: take it out"
    }
}

extension Substring {
    func trimmingSpaces() -> String {
        var text = self
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}

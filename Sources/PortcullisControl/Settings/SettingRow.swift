/// One key of the configuration: its name, where its value lives, and how it is read and shown.
struct SettingRow<Root: Sendable>: Sendable {
    /// The parts of the dotted name. A name of the operator's may itself hold dots.
    let components: [String]
    let form: SettingForm
    let expected: String
    let isSecret: Bool
    /// What an unset value means; nil where the key always has one.
    let unset: String?
    /// What the key is for.
    let meaning: String
    let apply: @Sendable (inout Root, RawValue) throws(Mismatch) -> Void
    let show: @Sendable (Root) -> ShownValue
    /// Whether the key has the same value in both; what is shown of a secret would not tell.
    let isSame: @Sendable (Root, Root) -> Bool

    var name: String { components.joined(separator: ".") }

    init<Value: Equatable & Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Root, Value> & Sendable,
        _ kind: SettingKind<Value>,
        unset: String? = nil,
        _ meaning: String
    ) {
        self.components = name.split(separator: ".").map(String.init)
        self.form = kind.form
        self.expected = kind.expected
        self.isSecret = kind.isSecret
        self.unset = unset
        self.meaning = meaning
        self.apply = { root, raw throws(Mismatch) in root[keyPath: path] = try kind.parse(raw) }
        self.show = { root in kind.show(root[keyPath: path]) }
        self.isSame = { $0[keyPath: path] == $1[keyPath: path] }
    }

    private init<Inner>(
        lifting row: SettingRow<Inner>,
        components: [String],
        apply: @escaping @Sendable (inout Root, RawValue) throws(Mismatch) -> Void,
        show: @escaping @Sendable (Root) -> ShownValue,
        isSame: @escaping @Sendable (Root, Root) -> Bool
    ) {
        self.components = components
        self.form = row.form
        self.expected = row.expected
        self.isSecret = row.isSecret
        self.unset = row.unset
        self.meaning = row.meaning
        self.apply = apply
        self.show = show
        self.isSame = isSame
    }

    /// The same key as part of something greater.
    func within<Outer>(_ group: String, _ path: any WritableKeyPath<Outer, Root> & Sendable) -> SettingRow<Outer> {
        SettingRow<Outer>(
            lifting: self,
            components: group.split(separator: ".").map(String.init) + components,
            apply: { outer, raw throws(Mismatch) in try apply(&outer[keyPath: path], raw) },
            show: { show($0[keyPath: path]) },
            isSame: { isSame($0[keyPath: path], $1[keyPath: path]) }
        )
    }

    /// The same key as part of an entry of a map.
    func entry<Outer>(
        _ name: String,
        of group: [String],
        _ path: any WritableKeyPath<Outer, [String: Root]> & Sendable,
        made make: @escaping @Sendable (Outer) -> Root
    ) -> SettingRow<Outer> {
        SettingRow<Outer>(
            lifting: self,
            components: group + [name] + components,
            apply: { outer, raw throws(Mismatch) in
                var entry = outer[keyPath: path][name] ?? make(outer)
                try apply(&entry, raw)
                outer[keyPath: path][name] = entry
            },
            show: { outer in outer[keyPath: path][name].map(show) ?? .unset },
            isSame: { left, right in
                switch (left[keyPath: path][name], right[keyPath: path][name]) {
                case (let left?, let right?): isSame(left, right)
                case (nil, nil): true
                default: false
                }
            }
        )
    }
}

/// Keys that exist once for each name that the operator gives: `tokens.issuers.<name>.jwks`.
struct SettingGroup: Sendable {
    let components: [String]
    /// The parts of the keys below a name.
    let leaves: [[String]]
    /// The names that are in use.
    let names: @Sendable (Settings) -> [String]
    /// The keys of one name.
    let rows: @Sendable (String) -> [SettingRow<Settings>]

    var name: String { components.joined(separator: ".") }

    init<Entry: Sendable>(
        _ name: String,
        _ path: any WritableKeyPath<Settings, [String: Entry]> & Sendable,
        rows: [SettingRow<Entry>],
        made make: @escaping @Sendable (Settings) -> Entry
    ) {
        let components = name.split(separator: ".").map(String.init)
        self.components = components
        self.leaves = rows.map(\.components)
        self.names = { $0[keyPath: path].keys.sorted() }
        self.rows = { name in rows.map { $0.entry(name, of: components, path, made: make) } }
    }

    /// Whether a text may be such a name.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }
}

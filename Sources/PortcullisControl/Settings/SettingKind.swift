/// A value as it was written: one text, or several (a list; or a map, as `key=value`).
enum RawValue: Equatable, Sendable {
    case one(String)
    case many([String])
}

/// A value as it is shown.
enum ShownValue: Equatable, Sendable {
    case unset
    case one(String)
    case many([String])
    case pairs([ShownPair])
}

/// An entry of a map, as it is shown.
struct ShownPair: Equatable, Sendable {
    let key: String
    let value: String
}

/// Why a written value does not fit its key; the rest of a sentence that begins with the key.
struct Mismatch: Error {
    let text: String
}

/// How a value may be written.
enum SettingForm: Sendable {
    case one
    case list
    case map
}

/// What may be written for a key, and how it is read and shown.
struct SettingKind<Value: Equatable & Sendable>: Sendable {
    let form: SettingForm
    /// What is expected, as the end of a sentence: `a duration such as 5s`.
    let expected: String
    /// Whether it may only come from a file or the environment and is never shown.
    var isSecret = false
    let parse: @Sendable (RawValue) throws(Mismatch) -> Value
    let show: @Sendable (Value) -> ShownValue

    /// A value that is written as one text.
    static func single(
        _ expected: String,
        parse: @escaping @Sendable (String) throws(Mismatch) -> Value,
        show: @escaping @Sendable (Value) -> String
    ) -> SettingKind {
        SettingKind(
            form: .one,
            expected: expected,
            parse: { raw throws(Mismatch) in
                guard case .one(let text) = raw else { throw Mismatch(text: "a list stands where \(expected) belongs") }
                return try parse(text)
            },
            show: { .one(show($0)) }
        )
    }
}

extension SettingKind {
    /// The same, where the key may also be left out, or be given a word that says so.
    static func optional<Wrapped>(
        _ kind: SettingKind<Wrapped>,
        absent: String? = nil
    ) -> SettingKind where Value == Wrapped? {
        SettingKind(
            form: kind.form,
            expected: kind.expected,
            isSecret: kind.isSecret,
            parse: { raw throws(Mismatch) in
                if let absent, raw == .one(absent) { return nil }
                return try kind.parse(raw)
            },
            show: { $0.map(kind.show) ?? .unset }
        )
    }

    /// A list of distinct values, each of the given kind; the lone word `none` is the empty list, where it means nothing else.
    static func list<Element>(
        of kind: SettingKind<Element>,
        hasWordNone: Bool = false
    ) -> SettingKind where Value == [Element] {
        SettingKind(
            form: .list,
            expected: "a list, each of it \(kind.expected)",
            parse: { raw throws(Mismatch) in
                guard case .many(let texts) = raw else {
                    throw Mismatch(text: "a single value stands where a list belongs")
                }
                if texts == ["none"], !hasWordNone { return [] }
                var values: [Element] = []
                for text in texts {
                    let value = try kind.parse(.one(text))
                    guard !values.contains(value) else {
                        throw Mismatch(text: "\(quoted(text)) stands twice: write it once")
                    }
                    values.append(value)
                }
                return values
            },
            show: { values in
                .many(
                    values.compactMap {
                        guard case .one(let text) = kind.show($0) else { return nil }
                        return text
                    }
                )
            }
        )
    }
}

/// A text in an error, shortened, with control characters escaped.
func quoted(_ text: String) -> String {
    let short = text.count > 80 ? text.prefix(77) + "…" : text[...]
    return "\"\(LogText.escaped(String(short)))\""
}

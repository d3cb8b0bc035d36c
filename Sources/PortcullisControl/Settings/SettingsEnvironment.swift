/// Finds the settings among the variables of an environment.
enum SettingsEnvironment {
    /// What every variable begins with.
    static let prefix = "PORTCULLIS_"

    /// Variables that begin so and are no settings: a token for the command line, and what tests are told.
    private static let reserved: Set<String> = ["PORTCULLIS_VECTORS", "PORTCULLIS_TOKEN"]
    private static let reservedPrefix = "PORTCULLIS_TEST_"
    /// Set but empty it would turn a check off: the secret did not get here, and unsigned cookies would be believed.
    private static let neverEmpty: Set<String> = ["PORTCULLIS_SESSIONS_COOKIE_SECRET"]

    static func layer(_ environment: [String: String], names: inout SettingsNames) -> SettingsLayer {
        var layer = SettingsLayer()
        // An empty variable is one that is not set: compose files pass them on so.
        let variables = environment.filter { name, value in
            name.hasPrefix(prefix) && !reserved.contains(name) && !name.hasPrefix(reservedPrefix) && !value.isEmpty
        }
        for name in neverEmpty.sorted() where environment[name]?.isEmpty == true {
            layer.problems.append(
                SettingsProblem(key: name, text: "it is empty: give it the secret, or unset it", place: "environment")
            )
        }
        var byVariable = Dictionary(
            names.rows.values.map { (variable($0), $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
            if byVariable[name] == nil, let (group, chosen) = namedGroup(of: name) {
                names.add(chosen, to: group)
                for row in group.rows(chosen) { byVariable[variable(row)] = row }
            }
            guard let row = byVariable[name] else {
                let nearest = NearestName.to(name, among: byVariable.keys.sorted(), separator: "_")
                let advice = nearest.map { "did you mean \($0)?" } ?? "unset it"
                layer.problems.append(
                    SettingsProblem(key: name, text: "is not a setting: \(advice)", place: "environment")
                )
                continue
            }
            layer.insert(row.components, SettingsLayer.value(value, as: row.form), at: name)
        }
        return layer
    }

    /// The variable of a key.
    static func variable(_ row: SettingRow<Settings>) -> String {
        prefix + row.components.map(encoded).joined(separator: "_")
    }

    /// A name that only the environment knows is read in lower case: `PORTCULLIS_TOKENS_ISSUERS_ACME_JWKS` is `acme`.
    private static func namedGroup(of variable: String) -> (SettingGroup, String)? {
        for group in SettingsSchema.groups {
            let head = prefix + group.components.map(encoded).joined(separator: "_") + "_"
            guard variable.hasPrefix(head) else { continue }
            let tails = group.leaves.map { "_" + $0.map(encoded).joined(separator: "_") }
            // The longest: `_CLAIMS_USER` and not some shorter key that it may end with.
            for tail in tails.sorted(by: { $0.count > $1.count }) where variable.hasSuffix(tail) {
                let name = variable.dropFirst(head.count).dropLast(tail.count)
                if variable.count > head.count + tail.count, SettingGroup.isName(String(name)) {
                    return (group, name.lowercased())
                }
            }
        }
        return nil
    }

    /// One part of a name as swift-configuration writes it in a variable: upper case, `_` at the words of camel case and for
    /// what is neither letter nor digit.
    private static func encoded(_ part: String) -> String {
        var text = ""
        var last: Character?
        for character in part {
            if last?.isLowercase == true, character.isUppercase { text.append("_") }
            text.append(character.isLetter || character.isNumber ? Character(character.uppercased()) : "_")
            last = character
        }
        return text
    }
}

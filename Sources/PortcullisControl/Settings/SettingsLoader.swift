import Configuration

extension Settings {
    /// Reads and checks a configuration: the defaults, a YAML file, variables that begin with `PORTCULLIS_`, and flags, the later
    /// wins.
    ///
    /// - Parameters:
    ///   - file: The path of the file; nil: none.
    ///   - environment: All variables of the process.
    ///   - flags: Values by dotted key, as they would stand in a variable: lists with commas.
    /// - Throws: All that is wrong, one sentence each.
    public static func load(
        file: String? = nil,
        environment: [String: String] = [:],
        flags: [String: String] = [:]
    ) throws(SettingsError) -> Settings {
        var names = SettingsNames()
        let fileLayer = file.map { SettingsFile.layer(path: $0, names: &names) } ?? SettingsLayer()
        return try merge(fileLayer, environment, flags, &names)
    }

    /// The same with the text of a file.
    static func load(
        yaml: String,
        environment: [String: String] = [:],
        flags: [String: String] = [:]
    ) throws(SettingsError) -> Settings {
        var names = SettingsNames()
        let fileLayer = SettingsFile.layer(yaml: yaml, path: "portcullis.yaml", names: &names)
        return try merge(fileLayer, environment, flags, &names)
    }

    private static func merge(
        _ file: SettingsLayer,
        _ environment: [String: String],
        _ flags: [String: String],
        _ names: inout SettingsNames
    ) throws(SettingsError) -> Settings {
        let flagLayer = SettingsLayer(flags: flags, names: &names)
        let environmentLayer = SettingsEnvironment.layer(environment, names: &names)
        var problems = file.problems + environmentLayer.problems + flagLayer.problems

        let known = Set(environmentLayer.entries.values.map(\.place))
        let reader = ConfigReader(providers: [
            InMemoryProvider(name: "flags", values: flagLayer.values(names)),
            EnvironmentVariablesProvider(environmentVariables: environment.filter { known.contains($0.key) })
                .prefixKeys(with: "portcullis"),
            InMemoryProvider(name: "file", values: file.values(names)),
        ])

        var settings = Settings()
        let fixed = Set(SettingsSchema.rows.map(\.name))
        // The fixed keys first: an issuer's claims begin as those of `tokens.claims`.
        let added = names.rows.values.filter { !fixed.contains($0.name) }.sorted { $0.name < $1.name }
        for row in SettingsSchema.rows + added {
            guard let raw = reader.raw(row) else { continue }
            settings.written.insert(row.name)
            do {
                try row.apply(&settings, raw)
            } catch {
                let layers = [flagLayer, environmentLayer, file]
                let place = layers.lazy.compactMap { $0.entries[row.name]?.place }.first
                problems.append(SettingsProblem(key: row.name, text: error.text, place: place))
            }
        }
        // A value that could not be read left its default, about which the rules would say what nobody wrote.
        if problems.isEmpty { problems = SettingsRules.problems(in: settings) }
        guard problems.isEmpty else { throw SettingsError(problems: problems) }
        return settings
    }
}

extension ConfigReader {
    fileprivate func raw(_ row: SettingRow<Settings>) -> RawValue? {
        let key = ConfigKey(row.components)
        switch row.form {
        case .one:
            return string(forKey: key, isSecret: row.isSecret).map { .one($0) }
        case .list, .map:
            return stringArray(forKey: key, isSecret: row.isSecret).map { .many($0.filter { !$0.isEmpty }) }
        }
    }
}

extension SettingsLayer {
    fileprivate init(flags: [String: String], names: inout SettingsNames) {
        for (name, text) in flags.sorted(by: { $0.key < $1.key }) {
            if names.rows[name] == nil, let (group, chosen) = Self.namedGroup(of: name) { names.add(chosen, to: group) }
            guard let row = names.rows[name] else {
                problems.append(SettingsProblem(key: name, text: names.advice(for: name), place: "command line"))
                continue
            }
            guard !row.isSecret else {
                let text = "a flag is seen by everybody on this machine: set it in the file or the environment"
                problems.append(SettingsProblem(key: name, text: text, place: "command line"))
                continue
            }
            insert(row.components, Self.value(text, as: row.form), at: "command line")
        }
    }

    private static func namedGroup(of name: String) -> (SettingGroup, String)? {
        for group in SettingsSchema.groups where name.hasPrefix(group.name + ".") {
            let rest = name.dropFirst(group.name.count + 1)
            for leaf in group.leaves.map({ "." + $0.joined(separator: ".") }).sorted(by: { $0.count > $1.count })
            where rest.hasSuffix(leaf) && SettingGroup.isName(String(rest.dropLast(leaf.count))) {
                return (group, String(rest.dropLast(leaf.count)))
            }
        }
        return nil
    }

    fileprivate func values(_ names: SettingsNames) -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, entry) in entries {
            let content: ConfigContent =
                switch entry.value {
                case .one(let text): .string(text)
                case .many(let texts): .stringArray(texts)
                }
            let isSecret = names.rows[name]?.isSecret ?? true
            values[AbsoluteConfigKey(entry.components)] = ConfigValue(content, isSecret: isSecret)
        }
        return values
    }
}

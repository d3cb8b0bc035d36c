/// What is wrong with a configuration, and with which key.
public struct SettingsProblem: Equatable, Sendable, CustomStringConvertible {
    /// The dotted key, the environment variable, or the file.
    public let key: String
    /// What is wrong and what to do.
    public let text: String
    /// Where it stands; nil where that is not one place.
    public let place: String?

    /// One sentence.
    public var description: String {
        place.map { "\(key): \(text) (\($0))" } ?? "\(key): \(text)"
    }
}

/// Everything that is wrong with a configuration, one sentence a line. It is never empty.
public struct SettingsError: Error, Equatable, CustomStringConvertible {
    public let problems: [SettingsProblem]

    public var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// Keys of the contract that this version does not act on yet. They are refused, not ignored: who sets one relies on it.
enum UnsupportedSettings {
    private static let prefixes = [
        "tls.client_ca", "admin_keys_file", "audit.", "anomalies.",
    ]

    /// A sentence for the keys that are set and would do nothing.
    static func check(_ settings: Settings) throws(StartupError) {
        let found = settings.written.filter { key in prefixes.contains { key.hasPrefix($0) } }.sorted()
        guard found.isEmpty else {
            let verb = found.count == 1 ? "is" : "are"
            throw StartupError("\(found.joined(separator: ", ")) \(verb) not supported by this version: remove it.")
        }
    }
}

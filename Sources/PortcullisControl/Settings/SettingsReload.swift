extension Settings {
    /// These settings with what a running gate can take of others: keys, limits, origins, the log's level, certificates.
    func taking(_ new: Settings) -> Settings {
        var taken = self
        taken.written = new.written
        taken.origins = new.origins
        taken.limits = new.limits
        taken.log.level = new.log.level
        taken.keys.closeOnRemoval = new.keys.closeOnRemoval
        taken.tokens.own = new.tokens.own
        taken.tokens.issuers = new.tokens.issuers
        taken.tokens.leeway = new.tokens.leeway
        taken.tokens.types = new.tokens.types
        taken.tokens.cache = new.tokens.cache
        // Whether there is TLS at all is a matter of the listener.
        if tls.certificates.isEmpty == new.tls.certificates.isEmpty {
            taken.tls.certificates = new.tls.certificates
            taken.tls.minimum = new.tls.minimum
        }
        return taken
    }

    /// The names of the keys whose values differ.
    func differences(from other: Settings) -> [String] {
        let rows = SettingsSchema.rows(of: self) + SettingsSchema.rows(of: other)
        return Set(rows.filter { !$0.isSame(self, other) }.map(\.name)).sorted()
    }
}

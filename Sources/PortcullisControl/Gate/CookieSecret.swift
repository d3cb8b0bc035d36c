import PortcullisCrypto
import PortcullisTokens

/// The secret that signs session cookies (`sessions.cookie_secret_file`, `sessions.cookie_secret`).
enum CookieSecret {
    /// nil where cookies are not signed.
    ///
    /// It may be short and well known, for it must be the one that the application has: a forged signature opens nothing by itself, the
    /// id that it signs has to be one of a session in Redis. ``weakness(_:)`` says so at the start.
    static func key(_ settings: SessionSettings) throws(StartupError) -> HMACKey? {
        guard let secret = try secret(settings) else { return nil }
        return HMACKey(SecretBytes(secret.span), hash: .sha256)
    }

    /// A sentence for the log where the secret is one that others may know.
    static func weakness(_ settings: SessionSettings) throws(StartupError) -> String? {
        guard let secret = try secret(settings) else { return nil }
        if KnownSecrets.contains(secret.span) {
            return
                "the secret of session cookies is on a public list of known secrets: change it here and in the application"
        }
        return secret.count < 32
            ? "the secret of session cookies is shorter than 32 bytes: take a longer one here and in the application"
            : nil
    }

    private static func secret(_ settings: SessionSettings) throws(StartupError) -> [UInt8]? {
        guard let path = settings.cookieSecretFile else { return settings.cookieSecret.map { Array($0.revealed.utf8) } }
        guard settings.cookieSecret == nil else {
            throw StartupError("sessions.cookie_secret: sessions.cookie_secret_file is set as well: keep one of them.")
        }
        do throws(KeyError) {
            let secret = try KeySet.secretBytes(path)
            guard !secret.isEmpty else {
                throw KeyError("\(path) is empty: put the secret of the application's session cookies into it.")
            }
            return secret
        } catch {
            throw StartupError("sessions.cookie_secret_file: \(error.description)")
        }
    }
}

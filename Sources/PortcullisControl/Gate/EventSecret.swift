import PortcullisCrypto
import PortcullisTokens

/// The key that signs events (`events.hmac_key_file`).
enum EventSecret {
    /// nil where events need no signature.
    static func key(_ settings: Settings) throws(StartupError) -> HMACKey? {
        guard let path = settings.events.hmacKeyFile else { return nil }
        let make = "Make one with: portcullis keys generate --alg HS256 --out DIR"
        do throws(KeyError) {
            let secret = try KeySet.secretBytes(path)
            guard secret.count >= 32 else {
                throw KeyError("The key in \(path) is \(secret.count) bytes long; at least 32 are needed. \(make)")
            }
            guard !KnownSecrets.contains(secret.span) else {
                throw KeyError("The key in \(path) is on a public list of known secrets. \(make)")
            }
            return HMACKey(SecretBytes(secret.span), hash: .sha256)
        } catch {
            throw StartupError("events.hmac_key_file: \(error.description)")
        }
    }
}

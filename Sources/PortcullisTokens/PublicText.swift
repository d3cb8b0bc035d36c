import PortcullisCrypto
import PortcullisWire

/// Recognises keys that were configured as secrets by mistake. What is public is no secret: whoever has the key could sign with it, and the
/// confusion of the two is the oldest attack on tokens (RFC 8725, section 2.1).
enum PublicText {
    /// What the text is, for the end of `is …`; nil where it may be a secret.
    static func kind(of secret: Span<UInt8>) -> String? {
        var text: [UInt8] = []
        text.reserveCapacity(secret.count)
        for at in secret.indices { text.append(secret[at]) }
        if contains("-----BEGIN ", text) { return "a PEM text" }
        let start = text.prefix(64).drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if ["ssh-", "ecdsa-sha2-", "sk-ssh-"].contains(where: { start.starts(with: $0.utf8) }) { return "an SSH key" }
        if start.first == UInt8(ascii: "{"), isJWK(text) { return "a JWK text" }
        // A DER sequence begins with this byte, and its base64 with this letter.
        if text.first == 0x30 {
            var base64: [UInt8] = []
            Base64.append(secret, to: &base64)
            if isKey(base64) { return "a key in DER" }
        }
        if start.first == UInt8(ascii: "M"), isKey(text.filter { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) {
            return "the inside of a PEM text"
        }
        return nil
    }

    private static func contains(_ mark: String, _ text: [UInt8]) -> Bool {
        let mark = Array(mark.utf8)
        guard text.count >= mark.count else { return false }
        return (0...(text.count - mark.count)).contains { text[$0..<$0 + mark.count].elementsEqual(mark) }
    }

    private static func isJWK(_ text: [UInt8]) -> Bool {
        var json = StrictJSON(maximumBytes: KeyFile.largest)
        guard (try? json.parse(text.span)) != nil else { return false }
        return json.member("kty", in: text.span) != nil || json.member("keys", in: text.span) != nil
    }

    /// Whether these lines stand between the marks of some PEM text with a key.
    private static func isKey(_ base64: [UInt8]) -> Bool {
        guard base64.count < 1 << 16 else { return false }
        var lines: [UInt8] = []
        for start in stride(from: 0, to: base64.count, by: 64) {
            lines += base64[start..<min(start + 64, base64.count)] + [0x0A]
        }
        return ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
            .contains { label in
                let pem = Array("-----BEGIN \(label)-----\n".utf8) + lines + Array("-----END \(label)-----\n".utf8)
                return (try? PublicKey(pem: pem)) != nil
            }
    }
}

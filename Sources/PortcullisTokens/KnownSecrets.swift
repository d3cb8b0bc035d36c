import PortcullisCrypto

/// HMAC secrets that stand in public lists, documentation and examples: whoever reads those could sign for them.
public enum KnownSecrets {
    private static let prefixes: [UInt64] = {
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        let text = table.withUTF8Buffer { Array($0) }
        guard let bytes = Base64URL.decode(text.span) else { return [] }
        return stride(from: 0, to: bytes.count - 7, by: 8).map { start in
            bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }()

    /// Whether the secret is known, as it is or without the blanks and line ends behind it.
    public static func contains(_ secret: Span<UInt8>) -> Bool {
        var end = secret.count
        while end > 0, [0x20, 0x09, 0x0A, 0x0D].contains(secret[end - 1]) { end -= 1 }
        return holds(secret) || (end < secret.count && holds(secret.extracting(first: end)))
    }

    private static func holds(_ secret: Span<UInt8>) -> Bool {
        let digest = SHA256.digest(secret)
        var prefix: UInt64 = 0
        for at in 0..<8 { prefix = prefix << 8 | UInt64(digest[at]) }
        var range = 0..<prefixes.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if prefixes[middle] == prefix { return true }
            range = prefixes[middle] < prefix ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return false
    }
}

import PortcullisCore
import PortcullisCrypto
import PortcullisWire

extension KeySet {
    // MARK: - Files

    /// The secret of a file: its bytes, one trailing newline aside.
    /// - Parameter algorithm: one of HS256, HS384 and HS512; nil for HS256.
    /// - Throws: where others than the owner may read it, or ``VerificationKey`` refuses it.
    public static func secretFile(_ path: String, algorithm: Algorithm? = nil) throws(KeyError) -> KeySet {
        let source = "The secret in \(path)"
        let secret = try secretBytes(path)
        let key = try VerificationKey(secret: secret.span, algorithm: algorithm ?? .hs256, source: source)
        return try KeySet([key])
    }

    /// The bytes of a file with a secret, one trailing newline aside, unjudged.
    /// - Throws: where others than the owner may read it.
    public static func secretBytes(_ path: String) throws(KeyError) -> [UInt8] {
        let file = try KeyFile(path)
        try file.requirePrivate()
        return file.secret
    }

    /// The key of a PEM file (a public key, a certificate, or a private key, whose public half is used), or the keys of a JWK file.
    /// - Throws: where it holds no usable key, or a private one and others than the owner may read it.
    public static func keyFile(_ path: String, algorithm: Algorithm? = nil) throws(KeyError) -> KeySet {
        let file = try KeyFile(path)
        if file.isJSON { return try jwks(file, algorithm) }
        if PEMText.holdsPrivateKey(file.bytes) { try file.requirePrivate() }
        return try pem(file.bytes, algorithm: algorithm, source: "The key in \(path)")
    }

    /// The keys of a JWK or JWK Set file.
    /// - Throws: where no key in it can be used, or a secret stands in it and others than the owner may read it.
    public static func jwksFile(_ path: String, algorithm: Algorithm? = nil) throws(KeyError) -> KeySet {
        try jwks(KeyFile(path), algorithm)
    }

    private static func jwks(_ file: KeyFile, _ algorithm: Algorithm?) throws(KeyError) -> KeySet {
        let (set, holdsSecret, _) = try parse(file.bytes, algorithm, .file, source: file.path)
        if holdsSecret { try file.requirePrivate() }
        return try set.orNothing(file.path)
    }

    // MARK: - Bytes

    /// The key of a PEM text.
    public static func pem(
        _ text: [UInt8],
        algorithm: Algorithm? = nil,
        source: String = "The key"
    ) throws(KeyError) -> KeySet {
        let key: PublicKey
        do {
            key = try PublicKey(pem: text)
        } catch {
            let advice =
                PEMText.isEncrypted(text)
                ? "It is encrypted: decrypt it first, with openssl pkey -in FILE."
                : "Wanted is a public key, a certificate or a private key in PEM, or a JWK."
            throw KeyError("\(source) cannot be read: \(error). \(advice)")
        }
        return try KeySet([VerificationKey(key, algorithm: algorithm, source: source)])
    }

    /// The keys of a JWK Set (RFC 7517, section 5) or of a single JWK that was fetched. Secrets in it are refused.
    ///
    /// A JWK Set in which no key can be used is an answer all the same, and gives an empty set: its issuer has withdrawn the others.
    /// - Throws: where the text is none, or a single JWK that cannot be used, as an error document is.
    public static func fetchedJWKS(
        _ json: [UInt8],
        algorithm: Algorithm? = nil,
        source: String
    ) throws(KeyError) -> KeySet {
        let (set, _, isSet) = try parse(json, algorithm, .network, source: source)
        return isSet ? set : try set.orNothing(source)
    }

    /// The keys of a JWK Set or of a single JWK that stands in no file of its own. It may hold secrets.
    /// - Throws: where the text is none, or no key in it can be used.
    public static func jwks(
        _ json: [UInt8],
        algorithm: Algorithm? = nil,
        source: String = "The key set"
    ) throws(KeyError) -> KeySet {
        try parse(json, algorithm, .file, source: source).set.orNothing(source)
    }

    private func orNothing(_ source: String) throws(KeyError) -> KeySet {
        guard keys.isEmpty else { return self }
        let reasons = refused.prefix(4).map(\.reason).joined(separator: " ")
        throw KeyError("\(source) holds no usable key. \(reasons)")
    }

    private static func parse(
        _ bytes: [UInt8],
        _ algorithm: Algorithm?,
        _ origin: JSONWebKey.Origin,
        source: String
    ) throws(KeyError) -> (set: KeySet, holdsSecret: Bool, isSet: Bool) {
        let nodes: [Int]
        var isSet = false
        var json = StrictJSON(maximumBytes: KeyFile.largest)
        do {
            try json.parse(bytes.span)
        } catch {
            throw KeyError("\(source) is not the JSON text of a JWK or a JWK Set: \(error).")
        }
        if let keys = json.member("keys", in: bytes.span) {
            guard json.kind(of: keys) == .array else {
                throw KeyError("\(source) is no JWK Set: \"keys\" is no array.")
            }
            nodes = Array(json.elements(of: keys))
            isSet = true
        } else {
            guard json.kind(of: 0) == .object else { throw KeyError("\(source) is neither a JWK nor a JWK Set.") }
            nodes = [0]
        }
        // A set of some hundred keys is a mistake, and each costs a millisecond to take in.
        guard nodes.count <= 256 else { throw KeyError("\(source) holds more than 256 keys.") }
        var keys: [VerificationKey] = []
        var refused: [Refused] = []
        var names: [Identifier: Int] = [:]
        var holdsSecret = false
        for (place, node) in nodes.enumerated() {
            let kid = json.member("kid", of: node, in: bytes.span).flatMap { json.string($0, in: bytes.span) }
            holdsSecret =
                holdsSecret || json.member("d", of: node, in: bytes.span) != nil
                || json.member("k", of: node, in: bytes.span) != nil
            do {
                try JSONWebKey.requirePurpose(node, json, bytes.span)
                if let kid { names[kid, default: 0] += 1 }
                let key = try JSONWebKey(node, json, bytes.span)
                keys.append(try key.verificationKey(configured: algorithm, origin: origin))
            } catch {
                let name = kid.flatMap { $0.isWellFormed ? "\"\($0)\"" : nil } ?? "number \(place + 1)"
                refused.append(Refused(kid: kid, reason: "Key \(name) cannot be used: \(error)."))
            }
        }
        // Two keys of one name: whichever was meant, the other would be taken for it sooner or later. So neither, also where one
        // of them cannot be used.
        for kid in keys.compactMap(\.kid) where names[kid, default: 0] > 1 {
            names[kid] = 0
            refused.append(Refused(kid: kid, reason: "Key \"\(kid)\" cannot be used: its \"kid\" stands twice."))
        }
        keys.removeAll { key in key.kid.map { names[$0] == 0 } ?? false }
        return (try KeySet(keys, refused: refused), holdsSecret, isSet)
    }
}

extension KeyFile {
    /// Whether the first letter is that of a JSON object.
    var isJSON: Bool {
        bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
    }

    /// The bytes without one trailing newline, which editors and `echo` add.
    var secret: [UInt8] {
        bytes.last == 0x0A ? bytes.dropLast() : bytes
    }
}

/// What can be told of a PEM text before it is decoded.
enum PEMText {
    static func holdsPrivateKey(_ text: [UInt8]) -> Bool {
        contains("PRIVATE KEY-----", text)
    }

    static func isEncrypted(_ text: [UInt8]) -> Bool {
        contains("-----BEGIN ENCRYPTED", text) || contains("Proc-Type: 4,ENCRYPTED", text)
    }

    private static func contains(_ mark: String, _ text: [UInt8]) -> Bool {
        let mark = Array(mark.utf8)
        guard text.count >= mark.count else { return false }
        return (0...(text.count - mark.count)).contains { text[$0..<$0 + mark.count].elementsEqual(mark) }
    }
}

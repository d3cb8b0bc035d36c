import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// One key of a JWK text (RFC 7517), its members read and checked but not yet used.
struct JSONWebKey {
    /// Where the text came from: what a secret in it means depends on that.
    enum Origin: Sendable {
        /// A file of this machine, which only its owner may read where a secret stands in it.
        case file
        /// Fetched from a URL: everybody may have it.
        case network
    }

    let type: String
    let kid: Identifier?
    /// Whether the key, or the half that signs, stands in the text.
    let isSecret: Bool
    private let algorithm: String?
    private let curve: String?
    private var numbers: [String: [UInt8]] = [:]

    /// The members whose values are bytes in base64url.
    private static let numberNames: [StaticString] = ["k", "n", "e", "x", "y", "d", "p", "q", "dp", "dq", "qi"]

    /// Reads the members of an object. An error is a reason that completes a sentence, such as `"kty" is missing`.
    init(_ node: Int, _ json: StrictJSON, _ bytes: Span<UInt8>) throws(KeyError) {
        guard json.kind(of: node) == .object else { throw KeyError("it is no object") }
        func text(_ name: StaticString) throws(KeyError) -> Identifier? {
            guard let value = json.member(name, of: node, in: bytes) else { return nil }
            guard let text = json.string(value, in: bytes) else { throw KeyError("\"\(name)\" is no string") }
            return text
        }
        guard let type = try text("kty") else { throw KeyError("\"kty\" is missing") }
        self.type = type.description
        kid = try text("kid")
        if let kid, !kid.isWellFormed { throw KeyError("\"kid\" is not 1 to 255 bytes without control characters") }
        algorithm = try text("alg")?.description
        curve = try text("crv")?.description
        isSecret =
            type == "oct" || json.member("d", of: node, in: bytes) != nil
            || json.member("k", of: node, in: bytes) != nil
        for name in Self.numberNames {
            guard let value = try text(name) else { continue }
            guard let number = Base64URL.decode(value.bytes.span) else {
                throw KeyError("\"\(name)\" is not base64url")
            }
            numbers["\(name)"] = number
        }
    }

    /// Refuses a key that is meant for something else than verifying signatures (RFC 7517, sections 4.2 and 4.3).
    static func requirePurpose(_ node: Int, _ json: StrictJSON, _ bytes: Span<UInt8>) throws(KeyError) {
        if let use = json.member("use", of: node, in: bytes), !json.equals(use, "sig", in: bytes) {
            throw KeyError("its \"use\" is not \"sig\"")
        }
        guard let operations = json.member("key_ops", of: node, in: bytes) else { return }
        guard json.kind(of: operations) == .array else { throw KeyError("\"key_ops\" is no array") }
        // The half that signs contains the half that verifies.
        let signs = json.member("d", of: node, in: bytes) != nil || json.member("k", of: node, in: bytes) != nil
        let fits = json.elements(of: operations).contains { operation in
            json.equals(operation, "verify", in: bytes) || (signs && json.equals(operation, "sign", in: bytes))
        }
        guard fits else { throw KeyError("its \"key_ops\" do not allow \"verify\"") }
    }

    private func number(_ name: String) throws(KeyError) -> [UInt8] {
        guard let number = numbers[name] else { throw KeyError("\"\(name)\" is missing") }
        return number
    }

    private func ellipticCurve() throws(KeyError) -> EllipticCurve {
        guard let curve else { throw KeyError("\"crv\" is missing") }
        guard let known = EllipticCurve(rawValue: curve) else {
            throw KeyError("the curve \"\(curve)\" is not supported")
        }
        return known
    }

    private func requireEd25519() throws(KeyError) {
        guard curve == "Ed25519" else { throw KeyError("the curve \"\(curve ?? "")\" is not supported") }
    }

    /// The algorithm: the key's own, which a configured one must not contradict.
    private func algorithm(configured: Algorithm?) throws(KeyError) -> Algorithm? {
        guard let algorithm else { return configured }
        guard let own = Algorithm(rawValue: algorithm) else {
            throw KeyError("its \"alg\" \"\(algorithm)\" is not supported")
        }
        guard configured == nil || configured == own else {
            throw KeyError("its \"alg\" is \(own.rawValue), but \(configured?.rawValue ?? "") is configured")
        }
        return own
    }

    /// The key that verifies.
    func verificationKey(configured: Algorithm?, origin: Origin) throws(KeyError) -> VerificationKey {
        if isSecret, origin == .network { throw KeyError("it is a secret, and a fetched text is no place for one") }
        let algorithm = try algorithm(configured: configured)
        if type == "oct" {
            let secret = try number("k")
            return try VerificationKey(secret: secret.span, algorithm: algorithm ?? .hs256, kid: kid)
        }
        let key = try publicKey()
        return try VerificationKey(key, algorithm: algorithm, kid: kid)
    }

    /// What makes a key, its errors told as reasons.
    private func make<Key>(_ body: () throws(CryptoError) -> Key) throws(KeyError) -> Key {
        do {
            return try body()
        } catch {
            throw KeyError(error.description)
        }
    }

    private func publicKey() throws(KeyError) -> PublicKey {
        switch type {
        case "RSA":
            let (modulus, exponent) = (try number("n"), try number("e"))
            return try make { () throws(CryptoError) in try PublicKey(modulus: modulus, exponent: exponent) }
        case "EC":
            let (curve, x, y) = (try ellipticCurve(), try number("x"), try number("y"))
            return try make { () throws(CryptoError) in try PublicKey(curve: curve, x: x, y: y) }
        case "OKP":
            try requireEd25519()
            let x = try number("x")
            return try make { () throws(CryptoError) in try PublicKey(ed25519: x) }
        default: throw KeyError("the type \"\(type)\" is not supported")
        }
    }

    private func privateKey() throws(KeyError) -> PrivateKey {
        switch type {
        case "RSA":
            let (modulus, exponent, secret) = (try number("n"), try number("e"), try number("d"))
            let primes = (p: try number("p"), q: try number("q"))
            let derived = (dp: try number("dp"), dq: try number("dq"), qi: try number("qi"))
            return try make { () throws(CryptoError) in
                try PrivateKey(
                    modulus: modulus,
                    exponent: exponent,
                    privateExponent: secret,
                    primes: primes,
                    derived: derived
                )
            }
        case "EC":
            let (curve, x, y, secret) = (try ellipticCurve(), try number("x"), try number("y"), try number("d"))
            return try make { () throws(CryptoError) in try PrivateKey(curve: curve, x: x, y: y, secret: secret) }
        case "OKP":
            try requireEd25519()
            let secret = try number("d")
            return try make { () throws(CryptoError) in try PrivateKey(ed25519: secret) }
        default: throw KeyError("the type \"\(type)\" is not supported")
        }
    }

    /// The key that signs.
    /// - Parameter kid: nil for the name that the text gives it.
    func signingKey(configured: Algorithm?, kid wanted: Identifier?) throws(KeyError) -> SigningKey {
        let kid = wanted ?? kid
        let algorithm = try algorithm(configured: configured)
        if type == "oct" {
            let secret = try number("k")
            return try SigningKey(secret: secret.span, algorithm: algorithm ?? .hs256, kid: kid)
        }
        let key = try privateKey()
        return try SigningKey(key, algorithm: algorithm, kid: kid)
    }
}

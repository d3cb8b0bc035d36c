import PortcullisCrypto

/// The name that a public key has by itself (RFC 7638; RFC 8037, section 2).
enum Thumbprint {
    /// SHA-256 of the required members of its JWK in their order, in base64url: 43 letters.
    static func of(_ components: PublicComponents) -> [UInt8] {
        let text = json(components)
        let digest = SHA256.digest(text.span)
        return Base64URL.encode((0..<32).map { digest[$0] })
    }

    /// The required members in lexicographic order, without blanks: the text that is hashed, and the core of a JWK.
    static func json(_ components: PublicComponents) -> [UInt8] {
        func text(_ bytes: [UInt8]) -> String {
            String(decoding: Base64URL.encode(bytes), as: UTF8.self)
        }
        let json =
            switch components {
            case .rsa(let modulus, let exponent):
                #"{"e":"\#(text(exponent))","kty":"RSA","n":"\#(text(modulus))"}"#
            case .elliptic(let curve, let x, let y):
                #"{"crv":"\#(curve.rawValue)","kty":"EC","x":"\#(text(x))","y":"\#(text(y))"}"#
            case .ed25519(let bytes):
                #"{"crv":"Ed25519","kty":"OKP","x":"\#(text(bytes))"}"#
            }
        return Array(json.utf8)
    }
}

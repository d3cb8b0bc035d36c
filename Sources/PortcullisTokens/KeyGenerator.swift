public import PortcullisCore
import PortcullisCrypto

/// Makes new keys.
public enum KeyGenerator {
    /// What a new key pair is written as.
    public struct Pair: Sendable {
        /// PKCS#8. For a file that only its owner may read.
        public let privatePEM: [UInt8]
        /// A JWK Set with the one public key. No secret.
        public let publicJWKS: [UInt8]
        /// The RFC 7638 thumbprint: the `kid` in the set, and in the header of the tokens to be signed with the key.
        public let kid: Identifier
    }

    /// A secret of 48 random bytes in base64url: 64 letters, enough for HS512, and a file of it is a line of text.
    public static func secret() throws(KeyError) -> [UInt8] {
        do {
            return Base64URL.encode(try SecureRandom.bytes(48))
        } catch {
            throw KeyError("No secret could be made: \(error).")
        }
    }

    /// A key pair for an algorithm.
    /// - Parameter bits: the length of an RSA modulus, at least 2048.
    /// - Throws: for an HMAC algorithm, which takes ``secret()``.
    public static func pair(_ algorithm: Algorithm, bits: Int = 2048) throws(KeyError) -> Pair {
        guard var kind = algorithm.newKey else {
            throw KeyError("\(algorithm.rawValue) takes a secret, not a key pair.")
        }
        if case .rsa = kind { kind = .rsa(bits: bits) }
        do {
            let key = try PrivateKey.generate(kind)
            let components = try key.publicKey().components()
            let kid = Thumbprint.of(components)
            let members = Thumbprint.json(components).dropLast()
            let rest =
                #","kid":"\#(String(decoding: kid, as: UTF8.self))","use":"sig","alg":"\#(algorithm.rawValue)"}]}"#
            return Pair(
                privatePEM: try key.pem(),
                publicJWKS: Array(#"{"keys":["#.utf8) + members + Array(rest.utf8) + [UInt8(ascii: "\n")],
                kid: Identifier(bytes: kid)
            )
        } catch {
            throw KeyError("No key could be made: \(error).")
        }
    }
}

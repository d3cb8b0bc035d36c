import Glibc
import PortcullisCrypto
import PortcullisTokens

/// Who signs the tokens of one algorithm, and the file by which a gate verifies them.
struct Issuer {
    let algorithm: Algorithm
    let signer: TokenSigner
    /// nil where tokens are signed with a secret.
    let privateKey: PrivateKey?
    private let file: String

    /// Makes a new key.
    /// - Parameter folder: where the key file is kept; it has the algorithm's name.
    init(_ algorithm: Algorithm, in folder: String) throws {
        self.algorithm = algorithm
        file = folder + "/" + algorithm.rawValue
        let key: SigningKey
        let kept: [UInt8]
        if algorithm.hmac != nil {
            let secret = try KeyGenerator.secret()
            key = try SigningKey(secret: secret.span, algorithm: algorithm)
            kept = secret
            privateKey = nil
        } else {
            let pair = try KeyGenerator.pair(algorithm)
            // The private half stays in this process.
            kept = pair.publicJWKS
            key = try SigningKey.pem(pair.privatePEM, algorithm: algorithm, kid: pair.kid)
            privateKey = try PrivateKey(pem: pair.privatePEM)
        }
        signer = TokenSigner(key)
        try Self.keep(kept, as: file)
    }

    /// How a gate is told of the key.
    var options: [String] {
        [algorithm.hmac != nil ? "--secret-file" : "--key-file", file]
    }

    /// Writes it where its owner alone can read it; Redis' keeper removes it with the folder.
    private static func keep(_ bytes: [UInt8], as name: String) throws {
        let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw BenchFailure("write \(name)", errno: errno) }
        defer { close(file) }
        // The pointer is used within the call only.
        let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw BenchFailure("write \(name)", errno: errno) }
    }
}

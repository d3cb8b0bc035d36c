import PortcullisCrypto
import PortcullisTokens

/// What OpenSSL itself needs to verify a signature, in this very process: what `openssl speed` measures, and the hash of a token's bytes.
enum Verification {
    /// As long as what is signed in a token of a scenario.
    private static let length = 330

    /// - Parameter samples: how many signatures are verified.
    /// - Returns: µs of CPU for each.
    static func cost(_ issuer: Issuer, _ samples: Int) throws -> Double {
        guard let scheme = issuer.algorithm.scheme, let key = issuer.privateKey else {
            throw BenchFailure("A secret makes no signatures.")
        }
        let context = try VerificationContext(key.publicKey(), scheme)
        let message = [UInt8](repeating: UInt8(ascii: "x"), count: length)
        let signature = try key.sign(message.span, scheme)
        var valid = 0
        for _ in 0..<16 where context.isValid(signature.span, of: message.span) { valid += 1 }
        let began = Machine.ownTime()
        for _ in 0..<samples where context.isValid(signature.span, of: message.span) { valid += 1 }
        let used = Machine.ownTime() - began
        guard valid == samples + 16 else { throw BenchFailure("OpenSSL does not accept its own signature.") }
        return Double(used) / Double(samples) / 1000
    }
}

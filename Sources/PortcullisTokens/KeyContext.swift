import PortcullisCrypto

/// A key set up for verifying, used again and again by one thread.
enum KeyContext {
    case secret(HMACContext)
    case pair(VerificationContext)

    init(_ key: VerificationKey) throws(CryptoError) {
        switch key.material {
        case .secret(let secret): self = .secret(HMACContext(secret))
        case .pair(let key, let scheme): self = .pair(try VerificationContext(key, scheme))
        }
    }

    func isValid(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        switch self {
        case .secret(let context): context.isValid(signature, of: message)
        case .pair(let context): context.isValid(signature, of: message)
        }
    }
}

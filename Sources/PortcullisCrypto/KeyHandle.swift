import COpenSSL

/// Owns an `EVP_PKEY`: a key pair, or the public half of one.
final class KeyHandle: @unchecked Sendable {
    // Sendable: the key is complete when `init` ends and only read afterwards. OpenSSL counts its references atomically and locks
    // what it caches inside a key, so contexts of several threads may use one key at the same time.
    let pointer: OpaquePointer
    let kind: KeyKind

    /// The largest modulus that is accepted: verifying with a larger one costs milliseconds.
    static let largestModulus = 8192

    /// Takes over the reference, also where it throws.
    init(owning pointer: OpaquePointer) throws(CryptoError) {
        do throws(CryptoError) {
            self.kind = try Self.kind(of: pointer)
        } catch {
            EVP_PKEY_free(pointer)
            throw error
        }
        self.pointer = pointer
    }

    deinit {
        EVP_PKEY_free(pointer)
    }

    private static func kind(of key: OpaquePointer) throws(CryptoError) -> KeyKind {
        if EVP_PKEY_is_a(key, "RSA") == 1 {
            let bits = Int(EVP_PKEY_get_bits(key))
            guard bits <= largestModulus else {
                throw CryptoError("The RSA modulus is larger than \(largestModulus) bits")
            }
            return .rsa(bits: bits)
        }
        if EVP_PKEY_is_a(key, "ED25519") == 1 { return .ed25519 }
        guard EVP_PKEY_is_a(key, "EC") == 1 else { throw CryptoError("Keys of this type are not supported") }
        var name = [CChar](repeating: 0, count: 64)
        // Safe: the buffer is valid for its count while the closure runs; OpenSSL writes a terminated text or fails.
        let known = name.withUnsafeMutableBufferPointer {
            EVP_PKEY_get_group_name(key, $0.baseAddress, $0.count, nil) == 1
        }
        let group = String(decoding: name.prefix(while: { $0 != 0 }).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard known, let curve = EllipticCurve.allCases.first(where: { $0.groupName == group }) else {
            ERR_clear_error()
            throw CryptoError("The elliptic curve is not one of P-256, P-384 and P-521")
        }
        return .elliptic(curve)
    }

    /// Refuses a key whose parameters do not belong together: a point beside its curve, an even modulus, an exponent of one.
    func check(hasPrivate: Bool) throws(CryptoError) {
        guard let context = EVP_PKEY_CTX_new(pointer, nil) else { throw .drained("No context for a key") }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_public_check(context) == 1, !hasPrivate || EVP_PKEY_pairwise_check(context) == 1 else {
            throw .drained("The key's parameters are not valid")
        }
    }

    // MARK: - Parameters

    /// A number of the key, big-endian, padded with zeros in front to a length where one is given.
    func number(_ name: String, byteCount: Int? = nil) throws(CryptoError) -> [UInt8] {
        var number: OpaquePointer?
        guard EVP_PKEY_get_bn_param(pointer, name, &number) == 1, let number else {
            throw .drained("The key lacks a parameter")
        }
        defer { BN_clear_free(number) }
        let size = byteCount ?? Int(BN_num_bits(number) + 7) / 8
        var bytes = [UInt8](repeating: 0, count: size)
        // Safe: the buffer is valid for its count while the closure runs; a number that does not fit is an error.
        let written = bytes.withUnsafeMutableBufferPointer { BN_bn2binpad(number, $0.baseAddress, Int32($0.count)) }
        guard written == Int32(size) else { throw .drained("A parameter of the key is too large") }
        return bytes
    }

    /// The key's raw public or private bytes (Ed25519: 32).
    func raw(isPrivate: Bool) throws(CryptoError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        var length = 32
        // Safe: the buffer is valid for `length` bytes while the closure runs.
        let done = bytes.withUnsafeMutableBufferPointer {
            isPrivate
                ? EVP_PKEY_get_raw_private_key(pointer, $0.baseAddress, &length)
                : EVP_PKEY_get_raw_public_key(pointer, $0.baseAddress, &length)
        }
        guard done == 1, length == 32 else { throw .drained("The key has no raw form") }
        return bytes
    }
}

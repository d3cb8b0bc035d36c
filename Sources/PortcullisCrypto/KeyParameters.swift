import COpenSSL

/// Gathers the parameters that a key is made of; owns an `OSSL_PARAM_BLD` and the numbers given to it.
final class KeyParameters {
    private let builder: OpaquePointer
    private var numbers: [OpaquePointer] = []
    /// The builder keeps a reference to octets until the key is made, so they stand in memory that does not move.
    private var octets: [SecretBytes] = []

    init() throws(CryptoError) {
        guard let builder = OSSL_PARAM_BLD_new() else { throw .drained("No memory for a key") }
        self.builder = builder
    }

    deinit {
        OSSL_PARAM_BLD_free(builder)
        for number in numbers { BN_clear_free(number) }
    }

    /// Adds a big-endian number. At most 1024 bytes: nothing larger is a parameter of a key that is accepted.
    func add(_ name: StaticString, number: [UInt8]) throws(CryptoError) {
        guard number.count <= 1024, let value = BN_bin2bn(number, Int32(number.count), nil) else {
            throw CryptoError("A parameter of the key is too large")
        }
        numbers.append(value)
        // Safe: static strings live for ever; the number lives until `deinit`.
        try done(OSSL_PARAM_BLD_push_BN(builder, name.forever, value))
    }

    func add(_ name: StaticString, text: String) throws(CryptoError) {
        // Safe: the builder keeps the pointer, so the text gets memory of its own that lives until `deinit`.
        let copy = SecretBytes(Array(text.utf8).span)
        octets.append(copy)
        try done(
            copy.withSpan { bytes in
                bytes.withUnsafeBytes {
                    OSSL_PARAM_BLD_push_utf8_string(
                        builder,
                        name.forever,
                        $0.baseAddress?.assumingMemoryBound(to: CChar.self),
                        $0.count
                    )
                }
            }
        )
    }

    func add(_ name: StaticString, octets bytes: [UInt8]) throws(CryptoError) {
        // Safe: the builder keeps the pointer, so the bytes get memory of their own that lives until `deinit`.
        let copy = SecretBytes(bytes.span)
        octets.append(copy)
        try done(
            copy.withSpan { bytes in
                bytes.withUnsafeBytes {
                    OSSL_PARAM_BLD_push_octet_string(builder, name.forever, $0.baseAddress, $0.count)
                }
            }
        )
    }

    private func done(_ result: Int32) throws(CryptoError) {
        guard result == 1 else { throw .drained("The key's parameters are not valid") }
    }

    /// Makes the key of everything that was added.
    func makeKey(_ type: StaticString, hasPrivate: Bool) throws(CryptoError) -> KeyHandle {
        guard let parameters = OSSL_PARAM_BLD_to_param(builder) else {
            throw .drained("The key's parameters are not valid")
        }
        defer { OSSL_PARAM_free(parameters) }
        guard let context = EVP_PKEY_CTX_new_from_name(nil, type.forever, nil) else {
            throw .drained("No context for a key")
        }
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        let selection = hasPrivate ? portcullis_key_pair : portcullis_public_key
        guard EVP_PKEY_fromdata_init(context) == 1, EVP_PKEY_fromdata(context, &key, selection, parameters) == 1,
            let key
        else { throw .drained("The key's parameters are not valid") }
        let handle = try KeyHandle(owning: key)
        try handle.check(hasPrivate: hasPrivate)
        return handle
    }
}

import COpenSSL

/// PEM texts (RFC 7468), one block at a time.
enum PEM {
    /// The first block whose label ends so, with its lines; nil where there is none.
    static func block(labelled suffix: String, in text: [UInt8]) -> [UInt8]? {
        let begin = Array("-----BEGIN ".utf8)
        var at = 0
        while let start = find(begin, in: text, from: at) {
            guard let labelEnd = find(Array("-----".utf8), in: text, from: start + begin.count) else { return nil }
            let label = text[(start + begin.count)..<labelEnd]
            let last = Array("-----END ".utf8) + label + Array("-----".utf8)
            guard let end = find(last, in: text, from: labelEnd) else { return nil }
            if label.reversed().starts(with: suffix.utf8.reversed()) {
                return Array(text[start..<(end + last.count)]) + [UInt8(ascii: "\n")]
            }
            at = end + last.count
        }
        return nil
    }

    private static func find(_ pattern: [UInt8], in text: [UInt8], from start: Int) -> Int? {
        var at = start
        while at + pattern.count <= text.count {
            if text[at] == pattern[0], text[at..<(at + pattern.count)].elementsEqual(pattern) { return at }
            at += 1
        }
        return nil
    }

    /// Decodes a key. An encrypted one is refused: no passphrase is ever asked for.
    static func key(_ block: [UInt8], selection: Int32) throws(CryptoError) -> KeyHandle {
        var key: OpaquePointer?
        let pem: StaticString = "PEM"
        guard let decoder = OSSL_DECODER_CTX_new_for_pkey(&key, pem.forever, nil, nil, selection, nil, nil) else {
            throw .drained("No decoder for PEM")
        }
        defer { OSSL_DECODER_CTX_free(decoder) }
        // Safe: the decoder only reads, within the count, while the closure runs.
        let done = block.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            var count = buffer.count
            return OSSL_DECODER_from_data(decoder, &start, &count)
        }
        guard done == 1, let key else {
            if let key { EVP_PKEY_free(key) }
            throw .drained("The PEM text holds no key that can be read")
        }
        return try KeyHandle(owning: key)
    }

    /// The public key of a certificate. Nothing else of the certificate is looked at: it is only how the key was handed over.
    static func certificateKey(_ block: [UInt8]) throws(CryptoError) -> KeyHandle {
        // Safe: the BIO reads the buffer within its count and is gone before the closure ends.
        let certificate = block.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            guard let count = Int32(exactly: buffer.count), let input = BIO_new_mem_buf(buffer.baseAddress, count)
            else {
                return nil
            }
            defer { BIO_free(input) }
            return PEM_read_bio_X509(input, nil, nil, nil)
        }
        guard let certificate else { throw .drained("The certificate cannot be read") }
        defer { X509_free(certificate) }
        guard let key = X509_get_pubkey(certificate) else { throw .drained("The certificate holds no usable key") }
        return try KeyHandle(owning: key)
    }

    /// What a function writes to a memory BIO.
    static func text(_ write: (OpaquePointer) -> Int32) throws(CryptoError) -> [UInt8] {
        guard let output = BIO_new(BIO_s_secmem()) else { throw .drained("No memory for a key's text") }
        defer { BIO_free(output) }
        guard write(output) == 1 else { throw .drained("The key cannot be written as PEM") }
        var text = [UInt8](repeating: 0, count: Int(BIO_ctrl_pending(output)))
        // Safe: the buffer is valid for its count while the closure runs.
        let count = text.withUnsafeMutableBufferPointer { BIO_read(output, $0.baseAddress, Int32($0.count)) }
        guard count == Int32(text.count) else { throw .drained("The key cannot be written as PEM") }
        return text
    }
}

import COpenSSL

/// What the TLS sessions of one purpose have in common: whom they trust, or who they are. TLS 1.2 or 1.3.
public final class TLSContext: Sendable {
    // Owned: made in an init and freed in deinit. OpenSSL counts and locks it itself; after init it is not changed any more.
    nonisolated(unsafe) let pointer: OpaquePointer
    let isServer: Bool

    /// For connections of one's own: the peer must show a certificate that a trusted authority has signed.
    ///
    /// - Parameter authorities: a PEM file with their certificates; nil: those of the system.
    public init(authorities: String?) throws(TLSFailure) {
        pointer = try Self.make(TLS_client_method())
        isServer = false
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        // There is none to show; that one was wanted explains why the peer goes away.
        SSL_CTX_set_client_cert_cb(pointer) { ssl, _, _ in
            SSL_set_ex_data(ssl, TLSContext.wantsCertificate, UnsafeMutableRawPointer(bitPattern: 1))
            return 0
        }
        let loaded =
            authorities.map { SSL_CTX_load_verify_file(pointer, $0) } ?? SSL_CTX_set_default_verify_paths(pointer)
        guard loaded == 1 else {
            throw TLSFailure(.file(Self.reason()), peer: authorities ?? "The system's list of authorities")
        }
    }

    /// For connections that are accepted.
    ///
    /// - Parameters:
    ///   - certificate: a PEM file: the server's certificate, then those between it and the authority.
    ///   - key: a PEM file with its private key, not encrypted.
    ///   - minimum: the least version that is spoken.
    public init(certificate: String, key: String, minimum: TLSVersion = .v12) throws(TLSFailure) {
        pointer = try Self.make(TLS_server_method())
        isServer = true
        guard portcullis_tls_least_version(pointer, minimum.number) == 1 else {
            throw TLSFailure(.other(Self.reason()), peer: "nobody yet")
        }
        // RSA from 2048 bits, curves from 224, no SHA-1, whatever the system's own configuration says.
        SSL_CTX_set_security_level(pointer, 2)
        // Nobody is asked for a passphrase: a gate has no terminal.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
        guard SSL_CTX_use_certificate_chain_file(pointer, certificate) == 1 else {
            throw TLSFailure(.file(Self.reason()), peer: certificate)
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, key, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(pointer) == 1
        else { throw TLSFailure(.file(Self.reason()), peer: key) }
        // WebSockets begin as HTTP/1.1; a client that offers only others is told so by the handshake.
        SSL_CTX_set_alpn_select_cb(
            pointer,
            { _, chosen, length, offered, count, _ in
                guard let chosen, let length, let offered else { return SSL_TLSEXT_ERR_NOACK }
                let offer = UnsafeBufferPointer(start: offered, count: Int(count))
                var at = 0
                // A list of names, each behind its length; the choice points into the offer, as OpenSSL wants it.
                while at < offer.count {
                    let name = (at + 1)..<(at + 1 + Int(offer[at]))
                    guard name.upperBound <= offer.count else { break }
                    if offer[name].elementsEqual("http/1.1".utf8) {
                        chosen.pointee = offered + name.lowerBound
                        length.pointee = offer[at]
                        return SSL_TLSEXT_ERR_OK
                    }
                    at = name.upperBound
                }
                return SSL_TLSEXT_ERR_ALERT_FATAL
            },
            nil
        )
    }

    /// Whether a server's certificate, and those between it and the authority, count now.
    /// - Parameter path: the file that they are from.
    public func checkValidity(of path: String) throws(TLSFailure) {
        switch portcullis_tls_validity(pointer) {
        case 0: return
        case 1: throw TLSFailure(.file("it has expired, or one that it holds besides has"), peer: path)
        case 2: throw TLSFailure(.file("it is not valid yet, or one that it holds besides is not"), peer: path)
        default: throw TLSFailure(.file("it holds no certificate"), peer: path)
        }
    }

    /// Where a session notes that the peer asked for a client certificate: a mark, not a pointer to anything.
    static let wantsCertificate: Int32 = portcullis_tls_new_index()

    deinit {
        SSL_CTX_free(pointer)
    }

    private static func make(_ method: OpaquePointer?) throws(TLSFailure) -> OpaquePointer {
        guard let context = SSL_CTX_new(method) else { throw TLSFailure(.other(reason()), peer: "nobody yet") }
        guard portcullis_tls_set_up(context) == 1 else {
            SSL_CTX_free(context)
            throw TLSFailure(.other(reason()), peer: "nobody yet")
        }
        return context
    }

    /// What OpenSSL's words mean to whoever has put a file there.
    private static let plainWords = [
        "no start line": "it holds nothing of that kind in PEM",
        "key values mismatch": "it is not the key of the certificate",
        "key type mismatch": "it is not the key of the certificate",
        "ee key too small": "its key is too short (RSA needs 2048 bits, a curve 224)",
        "ca key too small": "the key of one of its authorities is too short (RSA needs 2048 bits, a curve 224)",
        "ca md too weak": "it is signed with a digest that is broken (SHA-1 or older)",
        "bad password read": "it is encrypted; put a key there that is not",
        "problems getting password": "it is encrypted; put a key there that is not",
        "processing error": "it is encrypted or damaged; put a key there that is not",
        "interrupted or cancelled": "it is encrypted; put a key there that is not",
    ]

    /// Empties the calling thread's error queue into the words of the first error, which is nearest to the cause.
    private static func reason() -> String {
        let first = ERR_get_error()
        ERR_clear_error()
        // A static string of OpenSSL's, or none: errors of the system have none.
        if let text = ERR_reason_error_string(first) {
            let words = String(cString: text)
            return plainWords[words] ?? words
        }
        return SocketError.text(portcullis_error_reason(first))
    }
}

/// Two names of one context.
extension TLSContext: Equatable {
    public static func == (left: TLSContext, right: TLSContext) -> Bool {
        left === right
    }
}

/// A connection that is to be secured: whom to trust, and the name or address that the peer's certificate must have.
public struct TLSClient: Sendable {
    public let context: TLSContext
    public let name: String

    public init(_ context: TLSContext, name: String) {
        self.context = context
        self.name = name
    }
}

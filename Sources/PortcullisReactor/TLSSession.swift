import COpenSSL
import Glibc

/// The TLS of one stream, on its descriptor: the one owner of an `SSL` object. It never waits: where the socket would block, it says so.
final class TLSSession {
    /// What a step came to.
    enum Step: Equatable {
        /// Done, with so many bytes read or written.
        case done(Int)
        /// Again when the socket is readable.
        case awaitsReading
        /// Again when the socket is writable.
        case awaitsWriting
        /// The peer has ended the stream.
        case ended
        case broken(Int32)
        case failed(TLSFailure)
    }

    /// The bytes of a record at most (RFC 8446, section 5.1).
    private static let recordSize = 16 << 10

    // Owned: made in init, freed in deinit, never handed out.
    private let ssl: OpaquePointer
    private let socket: TLSSocket
    private let peer: String
    /// What the last write came to.
    private(set) var lastWrite = Step.done(0)
    /// Reading waits for the socket to be writable (a key update that must be answered).
    private(set) var readingAwaitsWriting = false
    private var isSecured = false
    private var hasRead = false
    private var hasSaidGoodbye = false

    /// nil where memory has run out, or the name can't be one.
    init?(_ context: TLSContext, name: String?, descriptor: Int32) {
        guard let ssl = SSL_new(context.pointer) else { return nil }
        guard let socket = TLSSocket(descriptor), socket.attach(to: ssl), Self.expect(name, ssl) else {
            SSL_free(ssl)
            return nil
        }
        self.ssl = ssl
        self.socket = socket
        peer = name ?? "the client"
        if context.isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
    }

    deinit {
        SSL_free(ssl)
    }

    /// The certificate must be for this name or address, and the server is told the name.
    private static func expect(_ name: String?, _ ssl: OpaquePointer) -> Bool {
        guard let name else { return true }
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 { return true }
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        return SSL_set1_host(ssl, name) == 1 && portcullis_tls_name_server(ssl, name) == 1
    }

    // MARK: - Steps

    /// Goes on with the handshake; done where the stream is secured.
    func handshake() -> Step {
        let result = attempt { SSL_do_handshake(ssl) }
        isSecured = result > 0
        return isSecured ? .done(0) : step(result)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Step {
        let count = attempt { SSL_read(ssl, buffer.baseAddress, Int32(clamping: buffer.count)) }
        let step = count > 0 ? .done(Int(count)) : step(count)
        if count > 0 { hasRead = true }
        readingAwaitsWriting = step == .awaitsWriting
        return step
    }

    /// Writes as much as the socket takes, a record after the other. What is not done must be tried again with the same bytes, wherever they
    /// stand by then.
    /// - Parameter mayGoOn: asked before every record but the first.
    func write(_ bytes: UnsafeRawBufferPointer, mayGoOn: () -> Bool = { true }) -> Step {
        var total = 0
        lastWrite = .done(0)
        while total < bytes.count, total == 0 || mayGoOn() {
            // A record is one write to the socket, and with a whole one nothing is left half-done.
            let record = bytes[total..<min(total + Self.recordSize, bytes.count)]
            let rest = UnsafeRawBufferPointer(rebasing: record)
            let count = attempt { SSL_write(ssl, rest.baseAddress, Int32(clamping: rest.count)) }
            guard count > 0 else {
                lastWrite = step(count)
                return total > 0 && writing != nil ? .done(total) : lastWrite
            }
            total += Int(count)
        }
        return .done(total)
    }

    /// What the next write waits for; nil: for nothing.
    var writing: Step? {
        lastWrite == .awaitsReading || lastWrite == .awaitsWriting ? lastWrite : nil
    }

    /// Says that nothing more will come; false where that must wait for the socket.
    func sayGoodbye() -> Bool {
        // Before the handshake is through there is nobody to say it to.
        guard isSecured, !hasSaidGoodbye else { return true }
        let result = attempt { SSL_shutdown(ssl) }
        // Another call would wait for the peer's.
        hasSaidGoodbye = result >= 0 || step(result) != .awaitsWriting
        return hasSaidGoodbye
    }

    /// Bytes that have come out of the socket and not yet out of the session: no event will tell of them.
    var holdsBytes: Bool {
        SSL_pending(ssl) > 0
    }

    // MARK: - Errors

    private func attempt(_ call: () -> Int32) -> Int32 {
        ERR_clear_error()
        socket.errno = 0
        return call()
    }

    private func step(_ result: Int32) -> Step {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .awaitsReading
        case SSL_ERROR_WANT_WRITE: return .awaitsWriting
        case SSL_ERROR_ZERO_RETURN: return .ended
        case SSL_ERROR_SYSCALL:
            // Under TLS 1.3 a server says that it wants a certificate when this side is through, and may be gone before that is read.
            if isRefusedWithoutCertificate { return .failed(TLSFailure(.wantsClientCertificate, peer: peer)) }
            if socket.errno != 0, socket.errno != ECONNRESET || isSecured { return .broken(socket.errno) }
            return isSecured ? .ended : .failed(TLSFailure(.ended, peer: peer))
        default: return .failed(TLSFailure(kind(), peer: peer))
        }
    }

    /// Empties the thread's error queue into what it means.
    private func kind() -> TLSFailure.Kind {
        let code = ERR_get_error()
        ERR_clear_error()
        switch portcullis_error_reason(code) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: return verdict()
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_PACKET_LENGTH_TOO_LONG: return .notTLS
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return .tooOld
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return .wantsClientCertificate
        // TLS 1.2 has no alert of its own for a client without a certificate.
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE where isRefusedWithoutCertificate: return .wantsClientCertificate
        default:
            // A static string of OpenSSL's, or none.
            return .other(ERR_reason_error_string(code).map { String(cString: $0) } ?? "an unknown error")
        }
    }

    /// Whether the peer asked for a certificate and has said nothing since.
    private var isRefusedWithoutCertificate: Bool {
        !hasRead && SSL_get_ex_data(ssl, TLSContext.wantsCertificate) != nil
    }

    private func verdict() -> TLSFailure.Kind {
        let result = SSL_get_verify_result(ssl)
        switch Int32(clamping: result) {
        case X509_V_ERR_CERT_HAS_EXPIRED: return .expired
        case X509_V_ERR_CERT_NOT_YET_VALID: return .notYetValid
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: return .wrongName
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
            return .unknownAuthority
        default: return .other(X509_verify_cert_error_string(result).map { String(cString: $0) } ?? "not verified")
        }
    }
}

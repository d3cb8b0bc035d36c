public import PortcullisReactor

extension TLSFailure {
    /// What it means for the link to Redis, in one sentence that says what to do.
    public var redisSentence: String {
        switch kind {
        case .expired: "The certificate of Redis at \(peer) has expired: renew it there."
        case .notYetValid: "The certificate of Redis at \(peer) is not valid yet: correct the clock here or there."
        case .wrongName:
            "The certificate of Redis is not for \(peer): name it in redis.url by a name that stands in the certificate."
        case .unknownAuthority:
            "The certificate of Redis at \(peer) is signed by an authority that is not trusted: put that authority's certificate into redis.ca_file."
        case .notTLS:
            "Redis at \(peer) does not speak TLS on this port: name its tls-port, or use redis:// without TLS."
        case .tooOld: "Redis at \(peer) speaks no TLS 1.2 or later: raise its tls-protocols."
        case .wantsClientCertificate:
            "Redis at \(peer) asks for a client certificate, and the gate has none: set tls-auth-clients no there."
        case .ended: "Redis at \(peer) ended the TLS handshake: is this its tls-port?"
        case .silent: "Redis at \(peer) does not answer the TLS handshake: is this its tls-port?"
        case .file: "redis.ca_file: \(self)"
        case .other: description
        }
    }
}

/// Why a stream could not be secured, or not any longer.
public struct TLSFailure: Error, Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case expired
        case notYetValid
        /// The certificate is good, but for others.
        case wrongName
        case unknownAuthority
        /// The peer speaks something else.
        case notTLS
        /// The peer speaks no TLS 1.2 or later.
        case tooOld
        case wantsClientCertificate
        /// The peer went away in the middle of the handshake.
        case ended
        /// The peer answered nothing in time.
        case silent
        /// A file with certificates or keys can't be used.
        case file(String)
        /// OpenSSL's words.
        case other(String)
    }

    public let kind: Kind
    /// The name or address that was to be reached, or the path of the file.
    public let peer: String

    public init(_ kind: Kind, peer: String) {
        self.kind = kind
        self.peer = peer
    }

    /// Whether another attempt may find it otherwise, with nothing changed by hand.
    public var mayPass: Bool {
        kind == .ended || kind == .silent
    }
}

extension TLSFailure: CustomStringConvertible {
    /// One sentence that says what to do.
    public var description: String {
        switch kind {
        case .expired: "The certificate of \(peer) has expired: it must be renewed there."
        case .notYetValid: "The certificate of \(peer) is not valid yet: correct the clock here or there."
        case .wrongName:
            "The certificate is not for \(peer): connect by a name that stands in it, or have that name put into it."
        case .unknownAuthority:
            "The certificate of \(peer) is signed by an authority that is not trusted: add that authority's certificate."
        case .notTLS: "\(peer) does not speak TLS on this port: use its TLS port."
        case .tooOld: "\(peer) speaks no TLS 1.2 or later: update it."
        case .wantsClientCertificate: "\(peer) asks for a client certificate: have it ask for none."
        case .ended: "\(peer) ended the TLS handshake: is this its TLS port?"
        case .silent: "\(peer) does not answer the TLS handshake: is this its TLS port?"
        case .file(let why): "\(peer) can't be used: \(why)."
        case .other(let text): "TLS with \(peer) failed: \(text)."
        }
    }
}

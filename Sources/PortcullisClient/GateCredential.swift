/// A text that proves who somebody is. It has no printable form.
public struct Secret: Hashable, Sendable, ExpressibleByStringLiteral {
    let value: String

    public init(_ value: String) {
        self.value = value
    }

    public init(stringLiteral value: String) {
        self.value = value
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "(redacted)"
    }

    public var debugDescription: String {
        description
    }

    /// Without it `dump` would look inside.
    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

/// What a client presents to a gate.
public enum GateCredential: Hashable, Sendable {
    /// A compact JWS, sent as `Authorization: Bearer`.
    case token(Secret)
    /// A compact JWS, offered as a subprotocol beside the one that is spoken: what a browser does, for a way that eats headers.
    case subprotocolToken(Secret)
    /// A compact JWS, sent as the first message where the gate accepts one; takes `portcullis.v1`.
    case firstMessage(token: Secret)
    /// The id of a server session, sent as a cookie with the gate's own origin beside it, since a cookie is ambient.
    case session(id: Secret, cookieName: String = "session_id")
    /// A one-time ticket, sent as `?ticket=`.
    case ticket(Secret)
    /// Nothing: the handshake is refused with 401, unless the gate accepts a first message or the URL carries a credential.
    case none
}

extension GateCredential {
    /// The headers that present it.
    ///
    /// A credential comes from files and environments, with line ends and worse in it: what could end a header is refused here, not
    /// sent.
    func headers(for url: GateURL) throws(GateFailure) -> [(name: String, value: String)] {
        switch self {
        case .none, .ticket:
            return []
        case .subprotocolToken(let token), .firstMessage(let token):
            try Self.check(token)
            return []
        case .token(let token):
            try Self.check(token)
            return [("Authorization", "Bearer \(token.value)")]
        case .session(let id, let cookieName):
            guard !id.value.isEmpty, id.value.utf8.allSatisfy(Self.isCookieOctet),
                !cookieName.isEmpty, cookieName.utf8.allSatisfy({ PercentEncoding.unreserved($0) && $0 != 0x3A })
            else {
                throw .invalid("The session id or the cookie's name holds characters that no cookie has.")
            }
            return [("Cookie", "\(cookieName)=\(id.value)"), ("Origin", url.origin)]
        }
    }

    private static func check(_ token: Secret) throws(GateFailure) {
        guard !token.value.isEmpty, token.value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .invalid("The token is empty, or holds characters that no token has.")
        }
    }

    /// The subprotocols to offer beside the one that is spoken.
    var subprotocols: [String] {
        guard case .subprotocolToken(let token) = self else { return [] }
        return ["base64url.bearer.portcullis." + Base64URL.encode(Array(token.value.utf8))]
    }

    /// What a `refresh` carries; nil where this is no token.
    var refreshToken: Secret? {
        switch self {
        case .token(let token), .subprotocolToken(let token), .firstMessage(let token): token
        case .session, .ticket, .none: nil
        }
    }

    /// RFC 6265, section 4.1.1.
    private static func isCookieOctet(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x23...0x2B, 0x2D...0x3A, 0x3C...0x5B, 0x5D...0x7E: true
        default: false
        }
    }
}

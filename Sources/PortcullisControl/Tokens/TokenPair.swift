import PortcullisWire

/// An access token and the refresh token that follows it (RFC 6749, section 5.1). Its description shows neither.
public struct TokenPair: Sendable {
    public let accessToken: String
    /// In seconds.
    public let expiresIn: Int64
    public let refreshToken: String
    /// In seconds.
    public let refreshExpiresIn: Int64

    /// The answer of a token endpoint.
    public var json: String {
        let bytes = JSONBuilder.object { json in
            json.member("access_token", accessToken)
            json.member("token_type", "Bearer")
            json.member("expires_in", expiresIn)
            json.member("refresh_token", refreshToken)
            json.member("refresh_expires_in", refreshExpiresIn)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension TokenPair: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "an access token and a refresh token (redacted)"
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

/// Why no tokens are given: one sentence, with no part of a token.
public enum TokenRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case unknown
    /// Used before: the whole family is revoked, which every gate enforces.
    case reused
    case revoked
    case blocked
    case reauthenticationRequired

    public var description: String {
        switch self {
        case .unknown: "The refresh token is unknown or has expired: the user must sign in again."
        case .reused:
            "The refresh token was used before, so somebody else may have it: its whole family is revoked and its connections are closed. The user must sign in again."
        case .revoked: "The user's credentials were revoked after this one was granted: the user must sign in again."
        case .blocked: "The user is blocked."
        case .reauthenticationRequired: "The user must sign in again before there is a new token."
        }
    }
}

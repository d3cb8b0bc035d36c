/// What a client presented to prove who it is. Its description never shows it.
public enum Credential: Equatable, Sendable {
    /// A compact JWS, as its bytes stood in the request.
    case token([UInt8], source: TokenSource)
    /// The id of a server session, as it stood in the cookie.
    case session(Identifier)
    /// The id of a server session from a signed cookie, with the signature, which nobody has verified yet.
    case signedSession(Identifier, signature: [UInt8])
    /// A one-time ticket.
    case ticket(Identifier)
}

/// Where a token stood.
public enum TokenSource: String, CaseIterable, Sendable {
    case header
    case subprotocol
    case cookie
    case query
    case firstMessage = "first_message"
}

/// What kind of credential admitted a connection: the label of a metric.
public enum CredentialKind: String, CaseIterable, Sendable {
    case token
    case session
    case ticket
    case none
}

extension Credential {
    public var kind: CredentialKind {
        switch self {
        case .token: .token
        case .session, .signedSession: .session
        case .ticket: .ticket
        }
    }
}

extension Credential: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "\(kind.rawValue) (redacted)"
    }

    public var debugDescription: String {
        description
    }

    /// Without it `dump` and string interpolation of an enclosing value would look inside.
    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// What a session is bound to (`sessions.bind`): a client that presents it from elsewhere is refused.
public struct SessionBinding: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The field `ip`.
    public static let address = SessionBinding(rawValue: 1)
    /// The field `user_agent_hash`: SHA-256 of the header's value, in hexadecimal.
    public static let userAgent = SessionBinding(rawValue: 2)
    /// The field `device`, presented as the header `X-Device-ID` or the cookie `device_id`.
    public static let device = SessionBinding(rawValue: 4)
}

/// What is kept of a client while a session that it presented may change.
struct BoundClient: Equatable {
    /// SHA-256 in lower-case hexadecimal; nil where the client named no user agent.
    let userAgentHash: Identifier?
    let device: Identifier?

    init(_ client: PresentedClient) {
        device = client.device
        userAgentHash = client.userAgent.map { agent in
            let digest = SHA256.digest(agent.span)
            return Identifier(bytes: Hexadecimal.encode(digest.span))
        }
    }
}

extension SessionBinding {
    /// Whether the client is the one that the session is bound to. A session that names nothing to hold the client against is bound to
    /// nobody, and refused: whoever asks for bindings does not want sessions without.
    func admits(_ address: IPAddress?, _ client: BoundClient?, to session: ServerSession) -> Bool {
        if contains(.address) {
            guard let bound = session.address.flatMap({ IPAddress($0.description) }), bound == address else {
                return false
            }
        }
        if contains(.userAgent) {
            guard let bound = session.userAgentHash, let hash = client?.userAgentHash,
                bound.bytes.map(Self.lowercased) == hash.bytes
            else { return false }
        }
        if contains(.device) {
            guard let bound = session.identity[.device], bound == client?.device else { return false }
        }
        return true
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
    }
}

/// What a client should do after a connection has ended, or was refused.
public enum ReconnectAdvice: String, Sendable {
    /// Stop: trying again cannot succeed, or is not wanted.
    case never
    /// Get a fresh credential, then reconnect.
    case reauthenticate
    /// Reconnect after a while.
    case later
}

extension ReconnectAdvice {
    /// The advice of the table of close codes, for a connection whose gate said nothing more than the close frame.
    ///
    /// - Parameters:
    ///   - closeCode: nil where the connection was lost without a close frame.
    ///   - reason: the text of the close frame.
    public init(closeCode: UInt16?, reason: String) {
        self =
            switch closeCode {
            // What a restart, a lost network or a fault in the gate leaves behind.
            case nil, 1001, 1005, 1006, 1011, 1012, 1013, 1014: .later
            case 1000, 1002, 1003, 1007, 1008, 1009, 1010: .never
            case 4401: .reauthenticate
            case 4403: reason == "reauthentication_required" ? .reauthenticate : .never
            case 4408, 4429: .later
            // A newer gate's code like a 4xx of HTTP: the client is what must change.
            case .some(4400..<4500): .never
            default: .later
            }
    }

    /// The advice for a refused handshake.
    public init(status: Int, code: String?) {
        self =
            switch (status, code) {
            case (_, "revoked"), (_, "blocked"): .never
            case (403, "reauthentication_required"): .reauthenticate
            case (401, _): .reauthenticate
            case (408, _), (429, _), (500..., _): .later
            default: .never
            }
    }
}

extension Duration {
    /// Seconds that a peer named, bounded by a day, so that no sum overflows; nil where there is no such duration.
    static func clamped(seconds: Double) -> Duration? {
        guard seconds.isFinite, seconds >= 0 else { return nil }
        return .seconds(min(seconds, 86_400))
    }

    /// In seconds, for arithmetic on jitter.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

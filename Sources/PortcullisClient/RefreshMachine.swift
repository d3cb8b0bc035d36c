/// Why a fresh credential is asked for.
public enum CredentialRequest: Equatable, Sendable {
    /// The credential of the live connection is about to expire; seconds, where the gate said.
    case expiring(inSeconds: Double?)
    /// The gate wants a newer authentication on the live connection before the deadline.
    case reauthenticate(deadlineSeconds: Double?, reason: String?)
    /// A connection ended, or was refused, and the next needs another credential.
    case reconnect(Ending)
}

/// When a live connection is refreshed: one at a time, each to its end. Pure.
///
/// There is no deadline here: what is not refreshed in time the gate closes, and the reconnect advice takes over.
struct RefreshMachine: Equatable, Sendable {
    enum Action: Equatable {
        case none
        /// Ask for a credential; the answer comes back with the number of the connection it was asked for.
        case ask(CredentialRequest, connection: UInt64)
        case send(Secret)
        case fail(GateFailure)
        /// The gate took it: the next connection is made with it, too.
        case keep(GateCredential)
    }

    private enum Phase: Equatable {
        case idle
        case asking
        case sent(GateCredential)
    }

    private var phase = Phase.idle
    /// The number of the connection: an answer for an earlier one comes too late.
    private var connection: UInt64 = 0
    /// What was demanded while another refresh was under way: that one may not be new enough.
    private var queued: CredentialRequest?

    mutating func expiring(inSeconds: Double?) -> Action {
        // Whatever is under way brings a later expiry.
        guard phase == .idle else { return .none }
        return ask(.expiring(inSeconds: inSeconds))
    }

    mutating func reauthenticate(deadlineSeconds: Double?, reason: String?) -> Action {
        let request = CredentialRequest.reauthenticate(deadlineSeconds: deadlineSeconds, reason: reason)
        guard phase == .idle else {
            queued = request
            return .none
        }
        return ask(request)
    }

    private mutating func ask(_ request: CredentialRequest) -> Action {
        phase = .asking
        return .ask(request, connection: connection)
    }

    mutating func answered(_ answer: CredentialAnswer, connection: UInt64) -> [Action] {
        guard connection == self.connection, phase == .asking else { return [] }
        switch answer {
        case .credential(let credential):
            guard let token = credential.refreshToken else {
                return over(.fail(.invalid("A live connection is refreshed by a token; another credential was given.")))
            }
            phase = .sent(credential)
            return [.send(token)]
        case .failed(let failure):
            return over(.fail(failure))
        case .cancelled:
            return over(.none)
        }
    }

    mutating func refreshed() -> [Action] {
        guard case .sent(let credential) = phase else { return [] }
        return over(.keep(credential))
    }

    /// An `error` that answers none of our calls by its `ref`: a `refresh` carries none, so it is this one's.
    mutating func rejected(_ error: MessageError) -> [Action] {
        guard case .sent = phase else { return [] }
        return over(.fail(.rejected(error)))
    }

    /// The message could not be sent: the end of the connection follows.
    mutating func ended() {
        phase = .idle
        queued = nil
        connection &+= 1
    }

    private mutating func over(_ action: Action) -> [Action] {
        phase = .idle
        guard let next = queued else { return [action] }
        queued = nil
        return [action, ask(next)]
    }
}

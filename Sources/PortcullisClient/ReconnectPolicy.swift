/// How an attempt or a connection ended.
public enum Ending: Equatable, Sendable {
    case closed(Closed)
    /// There was no connection.
    case failed(GateFailure)

    /// What to do next.
    public var advice: ReconnectAdvice {
        switch self {
        case .closed(let closed): closed.advice
        case .failed(let failure):
            switch failure.kind {
            case .refused: failure.refusal?.advice ?? .never
            case .unreachable, .timedOut, .closed: .later
            default: .never
            }
        }
    }

    /// How long the gate wants us to wait.
    public var retryAfter: Duration? {
        switch self {
        case .closed(let closed): closed.retryAfter
        case .failed(let failure): failure.refusal?.retryAfter
        }
    }
}

/// When to connect again. Pure: the randomness is passed in.
public struct ReconnectPolicy: Equatable, Sendable {
    public enum Decision: Equatable, Sendable {
        case stop
        /// Wait, ask for a fresh credential, connect.
        case reauthenticate(after: Duration)
        /// Wait, connect with the same credential.
        case retry(after: Duration)
    }

    /// The bound of the first wait, which is jittered like all; each further one doubles.
    public var base: Duration
    /// The bound of all waits that the gate does not name.
    public var cap: Duration

    /// Whether to connect again at all.
    public var isEnabled = true

    /// One connection and no other.
    public static let never: ReconnectPolicy = {
        var policy = ReconnectPolicy()
        policy.isEnabled = false
        return policy
    }()

    public init(base: Duration = .milliseconds(250), cap: Duration = .seconds(30)) {
        self.base = base
        self.cap = cap
    }

    /// - Parameters:
    ///   - attempt: how many endings in a row came before this one: 0 after a connection that had stood.
    ///   - canReauthenticate: whether there is somebody to ask for a fresh credential.
    ///   - random: evenly from 0 to 1.
    public func decide(_ ending: Ending, attempt: Int, canReauthenticate: Bool, random: Double) -> Decision {
        guard isEnabled else { return .stop }
        switch ending.advice {
        case .never:
            return .stop
        case .reauthenticate:
            guard canReauthenticate else { return .stop }
            return .reauthenticate(after: backoff(attempt: attempt, random: random))
        case .later:
            guard let asked = ending.retryAfter else { return .retry(after: backoff(attempt: attempt, random: random)) }
            // Never earlier than it asked for, and spread behind that: a Retry-After is the same for all whom it sends away.
            return .retry(
                after: asked + max(backoff(attempt: attempt, random: random), asked * (min(max(random, 0), 1) / 4))
            )
        }
    }

    /// Full jitter: anything from nothing to the bound, so that clients that were cut off together do not come back together.
    func backoff(attempt: Int, random: Double) -> Duration {
        let doublings = Double(min(max(attempt, 0), 62))
        var bound = base.inSeconds
        for _ in 0..<Int(doublings) where bound < cap.inSeconds { bound *= 2 }
        return .seconds(min(bound, cap.inSeconds) * min(max(random, 0), 1))
    }
}

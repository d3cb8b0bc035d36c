import PortcullisClient

extension Ending {
    /// Whether nothing went wrong: the exit code says so.
    var isNormal: Bool {
        guard case .closed(let closed) = self else { return false }
        return closed.cause == .client || closed.code == 1000
    }
}

extension ConnectLine {
    /// How a connection ended, why, and what happens next.
    init(_ ending: Ending, _ next: ReconnectPolicy.Decision) {
        let what =
            switch ending {
            case .failed(let failure): Self.describe(failure)
            case .closed(let closed): Self.describe(closed)
            }
        if case .closed(let closed) = ending, closed.cause == .client {
            self.init(what, .quiet)
        } else {
            self.init("\(what) · \(Self.describe(next))", ending.isNormal ? .quiet : .bad)
        }
    }

    /// Why the live connection was not refreshed.
    init(_ failure: GateFailure) {
        self.init("not refreshed: \(Self.describe(failure))", .warning)
    }

    private static func describe(_ failure: GateFailure) -> String {
        guard let refusal = failure.refusal else {
            return PlainText.clean(failure.detail, limit: 1000)
        }
        var text = "refused \(refusal.status)"
        if let code = refusal.code { text += " \(PlainText.clean(code, limit: 100))" }
        if let why = refusal.detail ?? refusal.title { text += ": \(PlainText.clean(why, limit: 1000))" }
        if let id = refusal.requestID { text += " · request \(PlainText.clean(id, limit: 100))" }
        return text
    }

    private static func describe(_ closed: Closed) -> String {
        switch closed.cause {
        case .client: return "closed"
        case .violation(let rule): return "closed: the gate broke the WebSocket protocol: \(rule)"
        case .lost(let why): return "lost: \(PlainText.clean(why, limit: 1000))"
        case .gate: break
        }
        var text = "closed"
        if let code = closed.code { text += " \(code)" }
        if !closed.reason.isEmpty { text += " \(PlainText.clean(closed.reason, limit: 200))" }
        let why = closed.detail.map { PlainText.clean($0, limit: 1000) } ?? closed.code.flatMap(meaning)
        return text + (why.map { ": \($0)" } ?? "")
    }

    /// The table of close codes in words.
    private static func meaning(_ code: UInt16) -> String? {
        switch code {
        case 1001: "the gate is shutting down"
        case 1002, 1003, 1007, 1008: "the gate did not accept what was sent"
        case 1009: "a message was too big"
        case 1013: "the gate cannot serve this connection now"
        case 4401: "the credential has expired"
        case 4403: "the permission was taken away"
        case 4408: "the gate waited too long"
        case 4409: "a newer connection of the user took the place of this one"
        case 4410: "the user must sign in again"
        case 4423: "the user is blocked"
        case 4429: "too much was sent"
        default: nil
        }
    }

    private static func describe(_ next: ReconnectPolicy.Decision) -> String {
        switch next {
        case .stop: "not connecting again"
        case .reauthenticate(let after) where after == .zero: "connecting again with a fresh token, if there is one"
        case .reauthenticate(let after):
            "connecting again with a fresh token, if there is one, in \(span(after.inSeconds))"
        case .retry(let after): "connecting again in \(span(after.inSeconds))"
        }
    }
}

extension Duration {
    var inSeconds: Double {
        self / .seconds(1)
    }
}

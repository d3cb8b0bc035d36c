import Foundation
import PortcullisClient

/// Events as lines of JSON, for programs.
enum ConnectJSON {
    /// A message of `portcullis.v1` as it came; a raw one, or one that is no JSON, within an object of type `text` or `binary`.
    static func line(_ received: Received, _ subprotocol: Subprotocol) -> ConnectLine {
        switch received.payload {
        case .text(let text):
            if subprotocol == .v1, let json = RawJSON(text) { return ConnectLine(PlainText.line(of: json)) }
            return object("text", [("text", RawJSON(string: text))])
        case .binary(let bytes):
            return object("binary", [("base64", RawJSON(string: Data(bytes).base64EncodedString()))])
        }
    }

    /// `closed`, `refused` or `failed`, with `reconnect` (the advice) and `retry_in_ms` (null where this was the last).
    static func line(_ ending: Ending, _ next: ReconnectPolicy.Decision) -> ConnectLine {
        let wait: RawJSON =
            switch next {
            case .stop: .null
            case .reauthenticate(let after), .retry(let after): number(Int(after.inSeconds * 1000))
            }
        let tail = [("reconnect", RawJSON(string: ending.advice.rawValue)), ("retry_in_ms", wait)]
        switch ending {
        case .closed(let closed):
            let code = closed.code.map { number(Int($0)) } ?? .null
            let reason = RawJSON(string: closed.reason)
            return object("closed", [("code", code), ("reason", reason), ("detail", text(closed.detail))] + tail)
        case .failed(let failure):
            guard let refusal = failure.refusal else {
                let kind = RawJSON(string: failure.kind.description)
                return object("failed", [("code", kind), ("detail", text(failure.detail))] + tail)
            }
            let members = [
                ("status", number(refusal.status)), ("code", text(refusal.code)),
                ("detail", text(refusal.detail ?? refusal.title)), ("request_id", text(refusal.requestID)),
            ]
            return object("refused", members + tail)
        }
    }

    /// `refresh_failed`, with the gate's code where it answered.
    static func line(_ failure: GateFailure) -> ConnectLine {
        let code = failure.error?.code ?? failure.kind.description
        return object("refresh_failed", [("code", text(code)), ("detail", text(failure.detail))])
    }

    private static func text(_ text: String?) -> RawJSON {
        text.map(RawJSON.init(string:)) ?? .null
    }

    private static func number(_ number: Int) -> RawJSON {
        RawJSON("\(number)") ?? .null
    }

    private static func object(_ type: String, _ members: [(String, RawJSON)]) -> ConnectLine {
        let text = "{\"type\":\"\(type)\"" + members.map { ",\"\($0)\":\($1.text)" }.joined() + "}"
        return ConnectLine(RawJSON(text).map(PlainText.line) ?? "{\"type\":\"\(type)\"}")
    }
}

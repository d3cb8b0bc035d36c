import Foundation
import PortcullisCore
import PortcullisReactor
public import PortcullisTokens
import PortcullisWire

/// Judges tokens for people: the verdict of the gate's own verifier, in words and in JSON.
public struct TokenJudge {
    /// What became of one token.
    public struct Verdict {
        public let accepted: Bool
        /// One object (operate.md, *Command line*).
        public let json: String
        /// One line for a person.
        public let words: String
    }

    private let verifier: TokenVerifier?
    private let unusable: String
    private let signatureOnly: Bool

    public init(_ policy: TokenPolicy, signatureOnly: Bool = false) {
        verifier = TokenVerifier(policy)
        unusable = ""
        self.signatureOnly = signatureOnly
    }

    /// No key can be used: every token is refused with the reason.
    public init(unusable reason: String) {
        verifier = nil
        unusable = reason
        signatureOnly = false
    }

    public func judge(_ token: [UInt8]) -> Verdict {
        guard let verifier else { return refused(.unknownKey, unusable) }
        do throws(Refusal) {
            if signatureOnly {
                try verifier.verifySignature(token.span)
                return Verdict(accepted: true, json: #"{"accepted":true}"#, words: "accepted (signature only)")
            }
            let verified = try verifier.verify(token.span, now: WallTime(milliseconds: Clock.wall()))
            let user = verified.identity.user
            let json = JSONBuilder.object { json in
                json.member("accepted", true)
                json.member("user", user)
                json.member("claims", json: verifier.claimsJSON)
            }
            let claims = String(decoding: verifier.claimsJSON, as: UTF8.self)
            let clean = String(claims.unicodeScalars.map { $0.value < 0x20 ? " " : Character($0) })
            return Verdict(accepted: true, json: line(json), words: "accepted: user \(user), claims \(clean)")
        } catch {
            return refused(error.outcome, error.detail)
        }
    }

    /// Claims may hold line breaks between their members; an answer is one line.
    private func line(_ json: [UInt8]) -> String {
        String(decoding: json.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }, as: UTF8.self)
    }

    private func refused(_ outcome: Outcome, _ detail: String) -> Verdict {
        let json = JSONBuilder.object { json in
            json.member("accepted", false)
            json.member("code", outcome.rawValue)
            json.member("detail", detail)
        }
        return Verdict(accepted: false, json: line(json), words: "refused: \(outcome.rawValue): \(detail)")
    }
}

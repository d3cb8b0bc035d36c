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

    /// The most bytes of a file that are worth reading: of a longer one the verdict is known.
    public var longestFile: Int {
        // One for the newline, one to be too long.
        (verifier?.policy.maximumLength ?? 0) + 2
    }

    /// - Parameter file: the name of the file that the token stood in, for the answer.
    public func judge(_ token: [UInt8], file: String? = nil) -> Verdict {
        guard let verifier else { return refused(.unknownKey, unusable, file) }
        let now = WallTime(milliseconds: Clock.wall())
        do throws(Refusal) {
            if signatureOnly {
                try verifier.verifySignature(token.span)
                let json = JSONBuilder.object { json in
                    if let file { json.member("file", file) }
                    json.member("accepted", true)
                }
                return Verdict(accepted: true, json: line(json), words: named("accepted (signature only)", file))
            }
            let verified = try verifier.verify(token.span, now: now)
            let user = verified.identity.user
            let json = JSONBuilder.object { json in
                if let file { json.member("file", file) }
                json.member("accepted", true)
                json.member("user", user)
                json.member("claims", json: verifier.claimsJSON)
            }
            let claims = String(decoding: verifier.claimsJSON, as: UTF8.self)
            let clean = String(claims.unicodeScalars.map { $0.value < 0x20 ? " " : Character($0) })
            return Verdict(
                accepted: true,
                json: line(json),
                words: named("accepted: user \(user), claims \(clean)", file)
            )
        } catch {
            return refused(error.outcome, explain(error, token, verifier, now), file)
        }
    }

    private func explain(_ refusal: Refusal, _ token: [UInt8], _ verifier: TokenVerifier, _ now: WallTime) -> String {
        var claims = verifier.claimsJSON
        if claims.isEmpty, refusal.outcome == .malformedToken, (try? verifier.verifySignature(token.span)) != nil {
            // Its payload could not be read, but a key of ours has vouched for it.
            claims = verifier.claimsJSON
        }
        return TokenExplanation(verifier.policy, token, claims: claims, now: now).words(refusal)
    }

    private func named(_ words: String, _ file: String?) -> String {
        file.map { "\(LogText.escaped($0, quotes: false)): \(words)" } ?? words
    }

    /// Claims may hold line breaks between their members; an answer is one line.
    private func line(_ json: [UInt8]) -> String {
        String(decoding: json.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }, as: UTF8.self)
    }

    private func refused(_ outcome: Outcome, _ detail: String, _ file: String?) -> Verdict {
        let json = JSONBuilder.object { json in
            if let file { json.member("file", file) }
            json.member("accepted", false)
            json.member("code", outcome.rawValue)
            json.member("detail", detail)
        }
        return Verdict(
            accepted: false,
            json: line(json),
            words: named("refused: \(outcome.rawValue): \(detail)", file)
        )
    }

    /// The answer for a file that cannot be read.
    public func unreadable(_ file: String, _ why: String) -> Verdict {
        refused(.malformedToken, "The file cannot be read: \(why).", file)
    }
}

import PortcullisCore
import PortcullisTokens
import PortcullisWire
import TestKit
import Testing

@Suite("Payloads that are not strict JSON")
struct StrictPayloadTests {
    @Test("JSONTestSuite", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
    func suite() throws {
        // Deep enough for the texts that must be accepted.
        var json = StrictJSON(maximumDepth: 64)
        var counts: [Character: Int] = [:]
        for name in try Vectors.files(in: "jsontestsuite/test_parsing") {
            let text = try Vectors.read("jsontestsuite/test_parsing/\(name)")
            let isAccepted: Bool
            do {
                try json.parse(text.span)
                isAccepted = true
            } catch {
                isAccepted = false
            }
            let kind = try #require(name.first)
            counts[kind, default: 0] += 1
            switch kind {
            // RFC 8259 allows a member to stand twice; a token must not (RFC 7519, section 4).
            case "y" where name.hasPrefix("y_object_duplicated_key"): #expect(!isAccepted, "\(name)")
            case "y": #expect(isAccepted, "\(name)")
            case "n": #expect(!isAccepted, "\(name)")
            default: break
            }
        }
        #expect(counts["y"] == 95 && counts["n"] == 188)
    }

    /// Every text of the suite, signed, as the payload of a token. None has the claims that a token needs, so none is accepted: an object
    /// gets as far as its claims, and everything else not even there.
    @Test("JSONTestSuite as payloads", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
    func payloads() throws {
        let (signer, key) = try pair(.hs256)
        let issuer = TokenIssuer(keys: try KeySet([key]))
        let judge = TokenVerifier(try TokenPolicy(issuers: [issuer], maximumLength: 1 << 20))
        var outcomes: Set<Outcome?> = []
        let names = try Vectors.files(in: "jsontestsuite/test_parsing")
        for name in names {
            let text = try Vectors.read("jsontestsuite/test_parsing/\(name)")
            let token = try signer.sign(payload: text)
            #expect(judge.signatureRefusal(token) == nil && judge.claimsJSON == text, "\(name)")
            let outcome = judge.refusal(token)
            outcomes.insert(outcome)
            let isObject = text.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
            switch name.first {
            case "y" where isObject && !name.hasPrefix("y_object_duplicated_key"):
                #expect(outcome == .missingClaim, "\(name)")
            case "y", "n": #expect(outcome == .malformedToken, "\(name)")
            // Parsers may differ about these; what they may not is accept one.
            default: #expect(outcome == .malformedToken || (isObject && outcome == .missingClaim), "\(name)")
            }
            guard name.hasPrefix("y"), !name.hasPrefix("y_object_duplicated_key") else { continue }
            // One more claim of a good token, it does no harm.
            let whole = Array(#"{"sub":"alice","exp":1767269100,"x":"#.utf8) + text + Array("}".utf8)
            #expect(judge.refusal(try signer.sign(payload: whole)) == nil, "\(name)")
        }
        #expect(names.count == 318)
        #expect(outcomes == [.malformedToken, .missingClaim])
    }

    @Test("Many values cost as much each as few")
    func linear() throws {
        let text = Array(("[" + String(repeating: "1,", count: 200_000) + "1]").utf8)
        var json = StrictJSON()
        let clock = ContinuousClock()
        let time = try clock.measure { try json.parse(text.span) }
        #expect(json.nodes.count == 200_002)
        #expect(time < .seconds(5))
    }

    @Test(
        "A token with such a payload is malformed",
        arguments: [
            "", " ", "null", "[]", "1", #""a""#, "{", #"{"sub":"a","sub":"a","exp":1767269100}"#,
            #"{"sub":"a","exp":1767269100}x"#, #"{"sub":"a","s\u0075b":"b","exp":1767269100}"#,
            #"{"sub":"a","exp":1767269100,}"#, #"{"sub":"\ud800","exp":1767269100}"#,
            #"{"sub":"a","exp":1767269100,"x":\#(String(repeating: "[", count: 20))\#(String(repeating: "]", count: 20))}"#,
        ]
    )
    func malformed(_ payload: String) throws {
        let (signer, key) = try pair(.hs256)
        let judge = try verifier(KeySet([key]))
        let token = try signer.sign(payload: Array(payload.utf8))
        #expect(judge.refusal(token) == .malformedToken)
        #expect(judge.signatureRefusal(token) == nil)
        #expect(judge.claimsJSON == Array(payload.utf8))
    }
}

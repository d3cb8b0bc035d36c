import PortcullisCore
import PortcullisTokens
import TestKit
import Testing

@Suite("Wycheproof: JSON Web Signature", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct WycheproofTests {
    /// Marked valid, and refused here: the header's algorithm is not the key's (346, 350), the key's algorithm does not exist
    /// (347, 351), a letter stands in the base64url that is none (372, 373).
    static let refusedOnPurpose: Set<Int> = [346, 347, 350, 351, 372, 373]

    /// Marked invalid, but byte for byte the token of 357, which is valid: their padding did not survive into the file.
    static let sameAsValid: Set<Int> = [367, 370]

    @Test("The 401 vectors: 40 accepted, 361 refused, but for two that are copies of a valid one")
    func signatures() throws {
        let file = try object("wycheproof/json_web_signature_test.json")
        let groups = try #require(file["testGroups"] as? [[String: Any]])
        var (accepted, refused, valid) = (0, 0, "")
        for group in groups {
            let key = try json(try #require(group["public"] ?? group["private"]))
            let judge = (try? KeySet.jwks(key)).flatMap { try? verifier($0) }
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let id = try #require(test["tcId"] as? Int)
                let token = try #require(test["jws"] as? String)
                let isAccepted = judge.map { $0.signatureRefusal(token.utf8) == nil } ?? false
                let isValid = test["result"] as? String == "valid" && !Self.refusedOnPurpose.contains(id)
                if Self.sameAsValid.contains(id) {
                    #expect(isAccepted && token == valid)
                    continue
                }
                #expect(isAccepted == isValid, "\(id): \(test["comment"] ?? "")")
                if id == 357 { valid = token }
                if isAccepted { accepted += 1 } else { refused += 1 }
            }
        }
        #expect(accepted == 40)
        #expect(refused == 359)
    }

    /// 1 wants a set with a secret and a public key refused whole: here a key is used with its own algorithm only, so the two cannot
    /// be mixed up.
    @Test("The 26 vectors of keys", arguments: [Set([1])])
    func keys(_ exceptions: Set<Int>) throws {
        let file = try object("wycheproof/json_web_key_test.json")
        for group in try #require(file["testGroups"] as? [[String: Any]]) {
            let key = try json(try #require(group["public"] ?? group["private"]))
            let judge = (try? KeySet.jwks(key)).flatMap { try? verifier($0) }
            for test in try #require(group["tests"] as? [[String: Any]]) {
                let id = try #require(test["tcId"] as? Int)
                let token = try #require(test["jws"] as? String)
                let isAccepted = judge.map { $0.signatureRefusal(token.utf8) == nil } ?? false
                let isValid = test["result"] as? String == "valid" || exceptions.contains(id)
                #expect(isAccepted == isValid, "\(id): \(group["comment"] ?? "") \(test["comment"] ?? "")")
            }
        }
    }
}

import PortcullisCore
import PortcullisTokens
import TestKit
import Testing

@Suite("Examples of the RFCs", .enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct RFCTests {
    private func judge(_ key: Any) throws -> TokenVerifier {
        try verifier(KeySet.jwks(try json(key)))
    }

    @Test("RFC 7515, appendix A")
    func rfc7515() throws {
        let vectors = try #require(object("rfc7515/rfc7515_appendix_a.json")["vectors"] as? [[String: Any]])
        #expect(vectors.count == 5)
        for vector in vectors {
            let name = try #require(vector["name"] as? String)
            let token = try #require(vector["compact"] as? String)
            let key = try #require(vector["key"] as? [String: Any])
            guard name != "RFC7515-A5" else {
                // Unsecured: whatever the key.
                #expect(try verifier(KeySet([pair(.hs256).key])).signatureRefusal(token.utf8) == .algorithmForbidden)
                continue
            }
            #expect(try judge(key).signatureRefusal(token.utf8) == nil, "\(name)")
            // The claims ended in 2011 and name no user; the payload of A4 is not JSON.
            let day = WallTime(milliseconds: 1_300_819_379_000)
            let isJSON = name != "RFC7515-A4"
            #expect(try judge(key).refusal(token.utf8) == (isJSON ? .expired : .malformedToken), "\(name)")
            #expect(
                try judge(key).refusal(token.utf8, now: day) == (isJSON ? .missingClaim : .malformedToken),
                "\(name)"
            )
        }
    }

    @Test(
        "RFC 7520, section 4",
        arguments: [
            "4_1.rsa_v15_signature", "4_2.rsa-pss_signature", "4_3.ecdsa_signature",
            "4_4.hmac-sha2_integrity_protection",
        ]
    )
    func rfc7520(_ name: String) throws {
        let file = try object("jose-cookbook/jws/\(name).json")
        let input = try #require(file["input"] as? [String: Any])
        var key = try #require(input["key"] as? [String: Any])
        key["alg"] = input["alg"]
        let token = try #require((file["output"] as? [String: Any])?["compact"] as? String)
        #expect(try judge(key).signatureRefusal(token.utf8) == nil)
        key["alg"] = nil
        let isStandard = name != "4_2.rsa-pss_signature"
        #expect(try judge(key).signatureRefusal(token.utf8) == (isStandard ? nil : .algorithmForbidden))
    }

    @Test("RFC 8037, appendix A.4, verified and signed")
    func rfc8037() throws {
        let file = try object("jose-cookbook/curve25519/jws.json")
        let input = try #require(file["input"] as? [String: Any])
        let key = try #require(input["key"])
        let token = try #require((file["output"] as? [String: Any])?["compact"] as? String)
        #expect(try judge(key).signatureRefusal(token.utf8) == nil)
        let signer = try TokenSigner(SigningKey.jwk(json(key)), type: nil)
        let signed = try signer.sign(payload: Array("Example of Ed25519 signing".utf8))
        #expect(signed == Array(token.utf8))
    }

    @Test("RFC 7638, section 3.1: the thumbprint of an RSA key")
    func rfc7638() throws {
        let n =
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
            + "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        let set = try KeySet.jwks(Array(#"{"kty":"RSA","n":"\#(n)","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#.utf8))
        #expect(set.keys[0].thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    }
}

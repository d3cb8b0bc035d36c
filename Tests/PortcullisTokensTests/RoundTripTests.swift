import PortcullisCore
import PortcullisTokens
import Testing

@Suite("Signed and verified")
struct RoundTripTests {
    @Test("A token of every algorithm", arguments: Algorithm.allCases)
    func everyAlgorithm(_ algorithm: Algorithm) throws {
        let (signer, key) = try pair(algorithm)
        let judge = try verifier(KeySet([key]))
        for round in 0..<3 {
            let token = try signer.sign([
                ("sub", Array("\"user \(round)\"".utf8)),
                ("iat", TokenSigner.json(WallTime(milliseconds: noon.milliseconds - 1))),
                ("exp", Array("1767269100".utf8)),
            ])
            let verified = try judge.verify(token.span, now: noon)
            #expect(verified.identity.user == Identifier("user \(round)"))
            #expect(verified.identity.issued == WallTime(milliseconds: 1_767_268_799_999))
            #expect(verified.identity.expires == WallTime(milliseconds: 1_767_269_100_000))
            #expect(verified.identity[.key] == key.kid)
            #expect(judge.refusal(token.dropLast()) != nil)
        }
    }
}

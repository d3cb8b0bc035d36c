import PortcullisCore
import PortcullisTokens
import Testing

@Suite("Claims")
struct ClaimTests {
    private let signer: TokenSigner
    private let keys: KeySet

    init() throws {
        let (signer, key) = try pair(.hs256)
        self.signer = signer
        self.keys = try KeySet([key])
    }

    private func refusal(_ changes: [String: String], issuer: TokenIssuer? = nil) throws -> Outcome? {
        let judge = TokenVerifier(try TokenPolicy(issuers: [issuer ?? TokenIssuer(keys: keys)]))
        return judge.refusal(try signer.sign(payload: claims(changes)))
    }

    private func identity(_ changes: [String: String], issuer: TokenIssuer? = nil) throws -> Identity {
        let judge = TokenVerifier(try TokenPolicy(issuers: [issuer ?? TokenIssuer(keys: keys)], hashesTokens: true))
        let token = try signer.sign(payload: claims(changes))
        return try judge.verify(token.span, now: noon).identity
    }

    static let verdicts: [(claim: String, json: String?, outcome: Outcome?)] = [
        ("exp", nil, .missingClaim),
        ("exp", "1767268800", .expired),
        ("exp", "1767268799.999", .expired),
        ("exp", "1767268800.001", nil),
        ("exp", "-1", .expired),
        ("exp", "0", .expired),
        ("exp", "1e999", .malformedToken),
        ("exp", "1e300", .lifeTooLong),
        ("exp", "-1e300", .expired),
        ("exp", "99999999999999999999999", .lifeTooLong),
        ("exp", #""1767269100""#, .malformedToken),
        ("exp", "null", .malformedToken),
        ("exp", "true", .malformedToken),
        ("exp", "1767355190", nil),
        ("exp", "1767355191", .lifeTooLong),
        ("iat", nil, nil),
        ("iat", "1767268830", nil),
        ("iat", "1767268830.001", .notYetValid),
        ("iat", "1e300", .notYetValid),
        ("iat", "-1e300", .lifeTooLong),
        ("iat", #""x""#, .malformedToken),
        ("nbf", "1767268830", nil),
        ("nbf", "1767268831", .notYetValid),
        ("nbf", "-5", nil),
        ("nbf", "[]", .malformedToken),
        ("sub", nil, .missingClaim),
        ("sub", "5", .malformedToken),
        ("sub", "null", .malformedToken),
        ("sub", #""""#, .malformedToken),
        ("sub", #""a\u0000b""#, .malformedToken),
        ("sub", #""a\nb""#, .malformedToken),
        ("sub", "\"\(String(repeating: "é", count: 127))x\"", nil),
        ("sub", "\"\(String(repeating: "é", count: 128))\"", .malformedToken),
        ("sub", "\"\(String(repeating: "\\u0061", count: 255))\"", nil),
        ("jti", "7", .malformedToken),
        ("jti", "\"\(String(repeating: "x", count: 256))\"", .malformedToken),
        ("sid", "{}", .malformedToken),
        ("iss", "5", .malformedToken),
        ("aud", "5", .malformedToken),
        ("aud", #"["a",5]"#, .malformedToken),
        ("aud", #"["a","b"]"#, nil),
        ("auth_time", #""x""#, .malformedToken),
        ("ver", #""1.0""#, nil),
        ("permissions", #"["read"]"#, nil),
    ]

    @Test("One claim at a time", arguments: verdicts.indices)
    func verdict(_ index: Int) throws {
        let (claim, json, outcome) = Self.verdicts[index]
        #expect(try refusal([claim: json ?? ""]) == outcome, "\(claim) \(json ?? "absent")")
    }

    @Test("Without iat the life is counted from now")
    func lifeFromNow() throws {
        #expect(try refusal(["iat": "", "exp": "1767355200"]) == nil)
        #expect(try refusal(["iat": "", "exp": "1767355201"]) == .lifeTooLong)
    }

    @Test("Leeway is cut to a minute")
    func leeway() throws {
        let policy = try TokenPolicy(issuers: [], leeway: .seconds(3600))
        #expect(policy.leeway == .seconds(60))
        #expect(TokenVerifier(policy).refusal(try signer.sign(payload: claimsOfAlice)) == .unknownKey)
    }

    @Test("Issuer and audience")
    func issuerAndAudience() throws {
        let issuer = TokenIssuer(issuer: "https://i.example", audiences: ["gate", "other"], keys: keys)
        let right: [String: String] = ["iss": #""https://i.example""#, "aud": #"["x","gate"]"#]
        #expect(try refusal(right, issuer: issuer) == nil)
        #expect(try refusal(right.merging(["aud": #""gate""#]) { $1 }, issuer: issuer) == nil)
        #expect(try refusal(right.merging(["aud": #""g\u0061te""#]) { $1 }, issuer: issuer) == nil)
        #expect(try refusal(right.merging(["aud": #""gat""#]) { $1 }, issuer: issuer) == .wrongAudience)
        #expect(try refusal(right.merging(["aud": "[]"]) { $1 }, issuer: issuer) == .wrongAudience)
        #expect(try refusal(right.merging(["aud": ""]) { $1 }, issuer: issuer) == .missingClaim)
        #expect(try refusal(right.merging(["iss": #""https://I.example""#]) { $1 }, issuer: issuer) == .wrongIssuer)
        #expect(try refusal(right.merging(["iss": ""]) { $1 }, issuer: issuer) == .missingClaim)
    }

    @Test("What a token says becomes an identity")
    func wholeIdentity() throws {
        let identity = try identity([
            "sub": #""\u0061lice\/ö""#, "sid": #""s-1""#, "jti": #""t-1""#, "tenant": #""acme""#, "device": #""phone""#,
            "iss": #""https://i.example""#, "iat": "1767268790.25", "auth_time": "1767268000", "ver": "3",
            "permissions": #"{"doc:1":"editor","doc:2":"emperor","doc:3":5,"":"owner"}"#,
        ])
        #expect(identity.user == "alice/ö")
        #expect(identity[.session] == "s-1")
        #expect(identity[.token] == "t-1")
        #expect(identity[.tenant] == "acme")
        #expect(identity[.device] == "phone")
        #expect(identity[.issuer] == "https://i.example")
        #expect(identity[.key] == nil)
        #expect(identity[.tokenHash]?.bytes.count == 64)
        #expect(identity.issued == WallTime(milliseconds: 1_767_268_790_250))
        #expect(identity.expires == WallTime(milliseconds: 1_767_269_100_000))
        #expect(identity.authenticated == WallTime(milliseconds: 1_767_268_000_000))
        #expect(identity.permissions == ["doc:1": Role(rank: 2)])
        #expect(identity.kind == .token)
    }

    @Test("The hash of a token is that of its bytes")
    func hash() throws {
        let token = Array("abc".utf8)
        #expect(
            TokenVerifier.hash(token.span) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
    }

    @Test("Claims by other names, and scopes")
    func namesAndScopes() throws {
        var issuer = TokenIssuer(keys: keys, claims: ClaimNames(user: "email", session: "jti"))
        issuer.scopes = ["docs:read": [ScopeGrant(resource: "docs", role: Role(rank: 0))]]
        issuer.scopes["docs:write"] = [ScopeGrant(resource: "docs", role: Role(rank: 2))]
        let identity = try identity(
            ["email": #""a@example.org""#, "jti": #""t""#, "scope": #""openid docs:write docs:read""#],
            issuer: issuer
        )
        #expect(identity.user == "a@example.org")
        #expect(identity[.session] == "t" && identity[.token] == "t")
        #expect(identity.permissions == ["docs": Role(rank: 2)])
        #expect(try refusal([:], issuer: issuer) == .missingClaim)
    }

    @Test("A signed value cannot make further claims")
    func injection() throws {
        #expect(throws: KeyError.self) { try signer.sign([("a", Array(#"1,"sub":"x""#.utf8))]) }
        #expect(throws: KeyError.self) { try signer.sign([("a", Array("x".utf8))]) }
        #expect(throws: KeyError.self) { try signer.sign([("a", Array("1".utf8)), ("a", Array("1".utf8))]) }
        let token = try signer.sign([
            ("sub", TokenSigner.json("a\"\\\u{1}ü")),
            ("exp", TokenSigner.json(WallTime(milliseconds: 1_767_269_100_007))),
        ])
        let judge = try verifier(keys)
        #expect(judge.refusal(token) == .malformedToken)
        #expect(judge.claimsJSON == Array(#"{"sub":"a\"\\\u0001ü","exp":1767269100.007}"#.utf8))
    }
}

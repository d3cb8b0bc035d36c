import PortcullisCore
import PortcullisCrypto
import PortcullisTokens
import PortcullisWire
import Testing

/// What RFC 8725 asks for beyond what stands in ``AttackTests`` and ``ShapeTests``.
@Suite("RFC 8725")
struct PolicyTests {
    private let signer: TokenSigner
    private let keys: KeySet

    init() throws {
        let (signer, key) = try pair(.hs256)
        self.signer = signer
        self.keys = try KeySet([key])
    }

    private func identity(_ payload: String, _ names: ClaimNames) throws -> Identity {
        let judge = TokenVerifier(try TokenPolicy(issuers: [TokenIssuer(keys: keys, claims: names)]))
        let token = try signer.sign(payload: Array(#"{"iat":1767268790,"exp":1767269100,\#(payload)}"#.utf8))
        return try judge.accept(token).identity
    }

    // MARK: - 2.1 and 3.1: algorithms

    private static func base64(_ bytes: [UInt8], lines: Bool) -> [UInt8] {
        var text: [UInt8] = []
        Base64.append(bytes.span, to: &text)
        guard lines else { return text }
        return Array(
            stride(from: 0, to: text.count, by: 64).map { text[$0..<min($0 + 64, text.count)] + [0x0A] }.joined()
        )
    }

    @Test("No form of a public key is taken for a secret", arguments: [Algorithm.rs256, .es256, .es512])
    func publicKeys(_ algorithm: Algorithm) throws {
        let pair = try KeyGenerator.pair(algorithm)
        let pem = try PrivateKey(pem: pair.privatePEM).publicKey().pem()
        let lines = pem.split(separator: 0x0A).dropFirst().dropLast().map(Array.init)
        let base64 = Array(lines.joined())
        let inner = Array(lines.joined(separator: [0x0A]))
        let urlSafe = base64.filter { $0 != UInt8(ascii: "=") }.map {
            $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0
        }
        let der = try #require(decode(urlSafe))
        for text in [pem, base64, inner, inner + [0x0A], der, pair.publicJWKS, Array(" \n".utf8) + pair.publicJWKS] {
            let error = #expect(throws: KeyError.self) { try secretKey(text) }
            #expect(error?.description.contains("not a secret") == true)
        }
        let jwk = Array(#"{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","e":"AQAB"}"#.utf8)
        #expect(throws: KeyError.self) { try secretKey(jwk) }
        let ssh = Array("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl you".utf8)
        #expect(throws: KeyError.self) { try secretKey(ssh) }
    }

    @Test("Secrets that only look like keys are secrets")
    func secrets() throws {
        let texts = [
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A, but no key", "{\"not\":\"a key, just a long and odd secret\"}",
            "0123456789 0123456789 0123456789 0", "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM",
        ]
        for text in texts { #expect(throws: Never.self, "\(text)") { try secretKey(Array(text.utf8)) } }
        #expect(throws: Never.self) { try secretKey([0x30, 0x82] + Array(repeating: 0xA7, count: 62)) }
    }

    @Test("RSA keys that anybody can sign for")
    func weakRSA() throws {
        let pair = try KeyGenerator.pair(.rs256)
        let set = String(decoding: pair.publicJWKS, as: UTF8.self)
        for exponent in ["AQ", "", "AA", "Ag", "AAE", "BA"] {
            let weak = set.replacing(#""e":"AQAB""#, with: #""e":"\#(exponent)""#)
            #expect(weak != set)
            #expect(throws: KeyError.self, "\(exponent)") { try KeySet.jwks(Array(weak.utf8)) }
        }
    }

    @Test("A point that is not on its curve is no key")
    func invalidCurve() throws {
        let pair = try KeyGenerator.pair(.es256)
        guard case .elliptic(_, let x, var y) = try PrivateKey(pem: pair.privatePEM).publicKey().components() else {
            Issue.record("no elliptic key")
            return
        }
        y[31] ^= 1
        let zero = [UInt8](repeating: 0, count: 32)
        for (x, y) in [(x, y), (zero, zero), (x, zero), (Array(x.dropFirst()), y), ([0] + x, [0] + y)] {
            let (a, b) = (
                String(decoding: Base64URL.encode(x), as: UTF8.self),
                String(decoding: Base64URL.encode(y), as: UTF8.self)
            )
            let text = #"{"kty":"EC","crv":"P-256","x":"\#(a)","y":"\#(b)"}"#
            #expect(throws: KeyError.self) { try KeySet.jwks(Array(text.utf8)) }
        }
    }

    // MARK: - 2.2 to 2.8: what is signed

    @Test("Other serializations, encrypted tokens and tokens in tokens are none")
    func otherForms() throws {
        let good = try signer.sign(payload: claimsOfAlice)
        let judge = try verifier(keys)
        let parts = good.split(separator: UInt8(ascii: ".")).map { String(decoding: $0, as: UTF8.self) }
        let text = String(decoding: good, as: UTF8.self)
        let forms = [
            #"{"protected":"\#(parts[0])","payload":"\#(parts[1])","signature":"\#(parts[2])"}"#,
            #"{"payload":"\#(parts[1])","signatures":[{"protected":"\#(parts[0])","signature":"\#(parts[2])"}]}"#,
            "\(parts[0]).\(parts[1]).\(parts[2]).\(parts[2]).\(parts[2])", "\(parts[0])..\(parts[2])",
            "\u{FEFF}\(text)", "\(text)\u{0}", "\(text)%00", "\"\(text)\"", "Bearer \(text)", text + text,
            "\(parts[0]).\(parts[1]).\(parts[2])=", "\(parts[0])\n.\(parts[1]).\(parts[2])",
        ]
        for form in forms { #expect(judge.refusal(form.utf8) != nil, "\(form.prefix(40))") }
        let nested = try signer.sign(payload: good)
        #expect(judge.refusal(nested) == .malformedToken)
        #expect(judge.refusal(try forge(#"{"alg":"HS256","cty":"JWT"}"#, good)) == .malformedToken)
        #expect(judge.refusal(good) == nil)
    }

    @Test("Names of keys are compared, never looked up elsewhere")
    func keyNames() throws {
        let bytes = secret
        let key = try SigningKey(secret: bytes.span, kid: "k1")
        let judge = try verifier(KeySet([key.verificationKey]))
        let names = [
            "../../dev/null", "k1' OR '1'='1", "k1\\u0000x", "K1", "k1 ", "https://evil.example/jwks.json", "k1/../k1",
        ]
        for name in names {
            let outcome = judge.refusal(try forge(#"{"alg":"HS256","kid":"\#(name)"}"#))
            #expect(outcome == (name.contains("u0000") ? .malformedToken : .unknownKey), "\(name)")
        }
        #expect(judge.refusal(try forge(#"{"alg":"HS256","kid":"k\u0031"}"#)) == nil)
    }

    @Test("A token of one purpose is not taken for another's (3.11)")
    func purposes() throws {
        let judge = try verifier(keys)
        for type in [
            "dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "JOSE", "JWT\\u0000", "jwt;v=1",
        ] {
            #expect(judge.refusal(try forge(#"{"alg":"HS256","typ":"\#(type)"}"#)) == .typeForbidden, "\(type)")
        }
    }

    // MARK: - Paths of claims

    @Test("A claim may stand in another")
    func paths() throws {
        let names = ClaimNames(
            user: "realm_access.user.id",
            session: "ctx.sid",
            tenant: "org.tenant",
            device: "ctx.device",
            permissions: "resource_access.gate.roles"
        )
        let payload = #"""
            "realm_access":{"x":[{"user":1}],"user":{"n":1,"\u0069d":"alice"}},"ctx":{"sid":"s","device":"d"},"sid":"no",
            "org":{"tenant":"acme"},"resource_access":{"gate":{"roles":{"doc:1":"editor"}}}
            """#
        let identity = try identity(payload, names)
        #expect(identity.user == "alice")
        #expect(identity[.session] == "s" && identity[.device] == "d" && identity[.tenant] == "acme")
        #expect(identity.permissions == ["doc:1": Role(rank: 2)])
    }

    @Test("A claim whose name has dots is meant first")
    func literalNames() throws {
        let url = ClaimNames(user: "https://example.com/claims/user")
        #expect(try identity(#""https://example.com/claims/user":"alice""#, url).user == "alice")
        let both = ClaimNames(user: "a.b")
        #expect(try identity(#""a":{"b":"inner"},"a.b":"outer""#, both).user == "outer")
        #expect(try identity(#""a.b":"outer","a":{"b":"inner"}"#, both).user == "outer")
    }

    @Test(
        "A path that leads nowhere is a claim that is missing",
        arguments: [
            #""a":{}"#, #""a":"b""#, #""a":["b"]"#, #""a":{"b":{}}"#, #""a":{"b":{"c":5}}"#, #""b":{"c":"x"}"#,
            #""a":null"#,
        ]
    )
    func brokenPaths(_ payload: String) throws {
        let error = #expect(throws: Refusal.self) { try identity(payload, ClaimNames(user: "a.b.c")) }
        #expect(error?.outcome == (payload.contains("5") ? .malformedToken : .missingClaim))
        for odd in ["a..b", ".", "a.", ".a"] as [Identifier] {
            #expect(throws: Refusal.self) { try identity(payload, ClaimNames(user: odd)) }
        }
    }
}

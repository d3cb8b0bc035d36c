import PortcullisCore
import PortcullisWire
import Testing

@Suite struct OriginPolicyTests {
    func verdict(
        _ policy: OriginPolicy,
        _ origin: String?,
        host: String = "gate.example.com",
        secure: Bool = false
    ) throws
        -> OriginPolicy.Verdict
    {
        let bytes = Handshake().with("Host", host).with("Origin", origin).bytes
        return policy.verdict(on: try upgrade(bytes).get(), bytes.span, secure: secure)
    }

    @Test(arguments: [
        ("https://gate.example.com", "gate.example.com", true), ("http://gate.example.com", "gate.example.com", true),
        ("HTTPS://Gate.Example.COM", "gate.example.com", true),
        ("https://gate.example.com:443", "gate.example.com", true),
        ("https://gate.example.com", "gate.example.com:443", true),
        ("http://gate.example.com", "gate.example.com:80", true),
        ("http://localhost:8080", "localhost:8080", true), ("http://[::1]:8080", "[::1]:8080", true),
        ("http://[::1]", "[::1]", true),
        ("https://gate.example.com", "gate.example.com:80", false),
        ("http://gate.example.com", "gate.example.com:443", false),
        ("https://gate.example.com:8443", "gate.example.com", false),
        ("https://gate.example.com", "gate.example.com:8443", false),
        ("https://evil.example.com", "gate.example.com", false),
        ("https://gate.example.com.evil", "gate.example.com", false),
        ("https://agate.example.com", "gate.example.com", false), ("null", "gate.example.com", false),
        ("", "gate.example.com", false),
        ("null", "null", false), ("gate.example.com", "gate.example.com", false),
        ("//gate.example.com", "gate.example.com", false),
        ("https://gate.example.com/", "gate.example.com", false),
        ("https://u@gate.example.com", "gate.example.com", false),
        ("https:gate.example.com", "gate.example.com", false), ("file://gate.example.com", "gate.example.com", false),
        ("https://gate.example.com https://gate.example.com", "gate.example.com", false),
        ("https://", "gate.example.com", false),
        ("https://gate.example.com:x", "gate.example.com", false),
        ("chrome-extension://gate.example.com", "gate.example.com", false),
    ])
    func theOriginOfTheGateItself(_ origin: String, _ host: String, _ same: Bool) throws {
        #expect(try verdict(.sameOrigin, origin, host: host) == (same ? .acceptable : .forbidden))
    }

    @Test func overTLSTheSchemeIsKnown() throws {
        #expect(try verdict(.sameOrigin, "https://gate.example.com", secure: true) == .acceptable)
        #expect(try verdict(.sameOrigin, "http://gate.example.com", secure: true) == .forbidden)
        #expect(try verdict(.sameOrigin, nil, secure: true) == .absent)
    }

    @Test(arguments: [
        ("https://app.test", true), ("https://APP.test:443", true), ("http://app.test", false),
        ("https://app.test:444", false),
        ("https://x.app.test", false), ("http://localhost:3000", true), ("http://localhost", false),
        ("https://a.wild.test", true),
        ("https://a.b.wild.test", true), ("https://wild.test", false), ("https://.wild.test", false),
        ("https://awild.test", false),
        ("http://a.wild.test", false), ("https://a.wild.test:8443", false), ("https://a.wild.test.evil", false),
        ("https://a.port.test:8443", true), ("capacitor://localhost", true), ("capacitor://other", false),
        ("null", false),
        ("https://gate.example.com", true),
    ])
    func theList(_ origin: String, _ acceptable: Bool) throws {
        let policy = try #require(
            OriginPolicy([
                "https://app.test", "http://localhost:3000", "https://*.wild.test", "https://*.port.test:8443",
                "capacitor://localhost",
            ])
        )
        #expect(try verdict(policy, origin) == (acceptable ? .acceptable : .forbidden))
    }

    @Test(arguments: [
        "", "*", "null", "app.test", "https://", "https://*", "https://*.", "https://a.*.test", "https://a*.test",
        "https://a.test/", "https://a b",
    ])
    func whatIsNoOriginIsNotListed(_ text: String) {
        #expect(OriginPolicy(["https://app.test", text]) == nil)
    }

    @Test func whoIsAskedForAnOrigin() throws {
        let listed = try #require(OriginPolicy(["https://app.test"]))
        let cookie = Credential.session("s")
        let token = Credential.token([65], source: .header)
        func refuses(_ policy: OriginPolicy, _ verdict: OriginPolicy.Verdict, _ credential: Credential?) -> Bool {
            do throws(Refusal) {
                try policy.check(verdict, credential)
                return false
            } catch {
                return error.outcome == .originForbidden
            }
        }
        for policy in [.sameOrigin, listed] {
            for credential in [cookie, token, nil] { #expect(!refuses(policy, .acceptable, credential)) }
            #expect(refuses(policy, .absent, cookie))
            #expect(refuses(policy, .absent, .token([65], source: .cookie)))
            #expect(refuses(policy, .forbidden, cookie))
            // A native client sends none.
            #expect(!refuses(policy, .absent, token))
            #expect(!refuses(policy, .absent, nil))
        }
        #expect(!refuses(.sameOrigin, .forbidden, token))
        #expect(refuses(listed, .forbidden, token))
        #expect(refuses(listed, .forbidden, nil))
    }
}

import PortcullisCore
import PortcullisWire
import Testing

@Suite struct CredentialSourceTests {
    static let everything = CredentialSource(
        tokens: [.header, .subprotocol, .cookie, .query],
        tokenCookie: Array("jwt".utf8)
    )

    func find(_ source: CredentialSource, _ handshake: Handshake) -> Result<Credential?, Refusal> {
        let bytes = handshake.bytes
        var head = RequestHead()
        guard case .complete = head.parse(bytes.span) else { return .failure(Refusal(.badRequest, "the head")) }
        do throws(Refusal) {
            let request = try UpgradeRequest(head, bytes.span)
            return .success(try source.credential(of: request, head, bytes.span))
        } catch {
            return .failure(error)
        }
    }

    static func token(_ text: String, _ source: TokenSource) -> Credential {
        .token(Array(text.utf8), source: source)
    }

    @Test(
        arguments: [
            (Handshake("/ws", "Authorization: Bearer a.b.c"), token("a.b.c", .header)),
            (Handshake("/ws", "Authorization: bEARER   a.b.c=="), token("a.b.c==", .header)),
            (
                Handshake("/ws", "Sec-WebSocket-Protocol: portcullis.v1, base64url.bearer.portcullis.YS5iLmM"),
                token("a.b.c", .subprotocol)
            ),
            (
                Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YS5iLmM"),
                token("a.b.c", .subprotocol)
            ),
            (Handshake("/ws?ticket=t-1"), .ticket("t-1")), (Handshake("/ws?x=1&ticket=a%20b+c&y"), .ticket("a b+c")),
            (Handshake("/ws?access_token=a.b.c"), token("a.b.c", .query)),
            (Handshake("/ws?access_token=a%2Eb.c"), token("a.b.c", .query)),
            (Handshake("/ws", "Cookie: session_id=s1"), .session("s1")),
            (Handshake("/ws", "Cookie: a=b; session_id=\"s1\" ; session_id2=x; junk; =; ;"), .session("s1")),
            (Handshake("/ws", "Cookie: session_id=s%3Aabc.def%2Bg=="), .session("s%3Aabc.def%2Bg==")),
            (Handshake("/ws", "Cookie: a=b", "Cookie: session_id=s1"), .session("s1")),
            (Handshake("/ws", "Cookie: Session_id=s0; xsession_id=s2; session_id=s1"), .session("s1")),
            (Handshake("/ws", "Cookie: jwt=a.b.c"), token("a.b.c", .cookie)),
            (Handshake("/ws", "Cookie: jwt=a.b.c; session_id="), token("a.b.c", .cookie)),
            (Handshake("/ws", "Cookie: session_id=s1", "Authorization: Bearer a"), token("a", .header)),
            (Handshake("/ws?ticket=t", "Cookie: session_id=s1; jwt=x"), .ticket("t")),
            (Handshake("/ws", "Cookie: session_id=s1", "Authorization: Basic YTpi"), .session("s1")),
            (Handshake("/ws?Ticket=x&tickets=y&x_ticket=z", "Cookie: session_id=s1"), .session("s1")),
        ] as [(Handshake, Credential)]
    )
    func aCredentialIsFound(_ handshake: Handshake, _ expected: Credential) throws {
        #expect(try find(Self.everything, handshake).get() == expected)
    }

    @Test(
        arguments: [
            (Handshake("/ws"), .missingCredential), (Handshake("/ws", "Authorization: Basic YTpi"), .missingCredential),
            (Handshake("/ws", "Authorization: BearerX a"), .missingCredential),
            (Handshake("/ws", "Authorization:"), .missingCredential),
            (Handshake("/ws", "Cookie: session_id="), .missingCredential),
            (Handshake("/ws", "Cookie: session_id"), .missingCredential),
            (Handshake("/ws", "Authorization: Bearer"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer a b"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer a,b"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer\ta"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer =="), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer a=b"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer, Bearer a"), .malformedToken),
            (Handshake("/ws", "Authorization: Bearer \u{e9}"), .malformedToken),
            (Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis."), .malformedToken),
            (Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis.Y"), .malformedToken),
            (Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis.YR"), .malformedToken),
            (Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis.Y+"), .malformedToken),
            (Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis.AAAA"), .malformedToken),
            (Handshake("/ws?access_token="), .malformedToken), (Handshake("/ws?access_token=%00"), .malformedToken),
            (Handshake("/ws?ticket="), .badTicket), (Handshake("/ws?ticket=%0a"), .badTicket),
            (Handshake("/ws?ticket=" + String(repeating: "t", count: 256)), .badTicket),
            (Handshake("/ws", "Cookie: session_id=a b"), .unknownSession),
            (Handshake("/ws", "Cookie: session_id=\u{e9}"), .unknownSession),
            (Handshake("/ws", "Cookie: session_id=" + String(repeating: "s", count: 256)), .unknownSession),
            (Handshake("/ws", "Cookie: jwt=a b"), .malformedToken),
            (Handshake("/ws", "Cookie: session_id=s1; session_id=s1"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: session_id=s1; session_id=s2"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: session_id=; session_id=s2"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: session_id=s1", "Cookie: session_id=s1"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: session_id =s1; session_id=s2"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: session_id=s1; session_id=s1", "Authorization: Bearer a"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: jwt=a; jwt=b"), .ambiguousCredential),
            (Handshake("/ws", "Cookie: jwt=a; session_id=b"), .ambiguousCredential),
            (Handshake("/ws?ticket=a&ticket=a"), .ambiguousCredential),
            (Handshake("/ws?ticket=a&access_token=b"), .ambiguousCredential),
            (Handshake("/ws?access_token=a&access_token=a"), .ambiguousCredential),
            (Handshake("/ws?ticket=a", "Authorization: Bearer b"), .ambiguousCredential),
            (Handshake("/ws?ticket=a", "Authorization: Bearer"), .ambiguousCredential),
            (
                Handshake("/ws", "Authorization: Bearer a", "Sec-WebSocket-Protocol: base64url.bearer.portcullis.YQ"),
                .ambiguousCredential
            ),
            (
                Handshake(
                    "/ws",
                    "Sec-WebSocket-Protocol: base64url.bearer.portcullis.YQ, base64url.bearer.authorization.k8s.io.YQ"
                ), .ambiguousCredential
            ),
            (
                Handshake(
                    "/ws",
                    "Sec-WebSocket-Protocol: base64url.bearer.portcullis.YQ, base64url.bearer.portcullis.Yg"
                ), .ambiguousCredential
            ),
        ] as [(Handshake, Outcome)]
    )
    func aCredentialIsRefused(_ handshake: Handshake, _ expected: Outcome) {
        #expect(outcome(find(Self.everything, handshake)) == expected)
    }

    /// What is switched off is not there: it neither admits nor stands in the way.
    @Test func aSourceThatIsOffIsNotLookedAt() throws {
        let none = CredentialSource(tokens: [], tickets: false, tokenCookie: Array("jwt".utf8), sessionCookie: nil)
        let all = Handshake(
            "/ws?ticket=t&access_token=a",
            "Authorization: Bearer a",
            "Sec-WebSocket-Protocol: base64url.bearer.portcullis.YQ",
            "Cookie: session_id=a; session_id=b; jwt=a; jwt=b"
        )
        #expect(outcome(find(none, all)) == .missingCredential)
        let header = CredentialSource(tokens: [.header], tickets: false, sessionCookie: nil)
        #expect(try find(header, all).get() == Self.token("a", .header))
        let standard = CredentialSource()
        #expect(outcome(find(standard, Handshake("/ws?access_token=a", "Cookie: jwt=a"))) == .missingCredential)
    }

    @Test func aTokenIsAtMostSoLong() throws {
        let source = CredentialSource(tokens: [.header, .subprotocol, .query], longestToken: 6)
        let header = { Handshake("/ws", "Authorization: Bearer " + $0) }
        #expect(try find(source, header("abcdef")).get() == Self.token("abcdef", .header))
        #expect(outcome(find(source, header("abcdefg"))) == .malformedToken)
        let subprotocol = { Handshake("/ws", "Sec-WebSocket-Protocol: base64url.bearer.portcullis." + $0) }
        #expect(try find(source, subprotocol("YWJjZGVm")).get() == Self.token("abcdef", .subprotocol))
        #expect(outcome(find(source, subprotocol("YWJjZGVmZw"))) == .malformedToken)
        #expect(outcome(find(source, subprotocol("YWJjZGVmZ2hp"))) == .malformedToken)
        #expect(try find(source, Handshake("/ws?access_token=abcde%66")).get() == Self.token("abcdef", .query))
        #expect(outcome(find(source, Handshake("/ws?access_token=abcdefg"))) == .malformedToken)
    }

    @Test func theFirstMessageMayBringIt() throws {
        let source = CredentialSource(tokens: [.header, .firstMessage])
        #expect(try find(source, Handshake("/ws", "Sec-WebSocket-Protocol: portcullis.v1")).get() == nil)
        #expect(outcome(find(source, Handshake("/ws"))) == .missingCredential)
        #expect(outcome(find(source, Handshake("/ws", "Sec-WebSocket-Protocol: portcullis.raw"))) == .missingCredential)
    }
}

@Suite struct EncodingTests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64OfRFC4648(_ plain: String, _ encoded: String) {
        var text: [UInt8] = []
        Base64.append(Array(plain.utf8).span, to: &text)
        #expect(String(decoding: text, as: UTF8.self) == encoded)
        let unpadded = Array(encoded.utf8.filter { $0 != UInt8(ascii: "=") })
        #expect(Base64.decodeURLSafe(unpadded.indices, of: unpadded.span) == Array(plain.utf8))
    }

    @Test(arguments: ["A", "AB", "AAB", "AA=", "A A", "+/", "AAAAA", "\u{e9}a"])
    func aBadBase64URLIsRefused(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(Base64.decodeURLSafe(bytes.indices, of: bytes.span) == nil)
    }

    @Test(arguments: [
        ("a%20b", "a b"), ("%41%4a", "AJ"), ("a+b", "a+b"), ("", ""), ("%", nil), ("%4", nil), ("%g0", nil),
        ("a%%20", nil),
    ])
    func escapesAreUndone(_ text: String, _ expected: String?) {
        #expect(PercentEncoding.decode(Array(text.utf8)) == expected.map { Array($0.utf8) })
    }
}

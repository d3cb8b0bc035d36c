import PortcullisCore
import PortcullisWire
import Testing

@Suite struct UpgradeRequestTests {
    @Test(
        arguments: [
            ("/ws", nil), ("/ws?x", nil), ("/ws/doc:42", "doc:42"), ("/ws/doc%3a42", "doc:42"), ("/ws/a%2Fb", "a/b"),
            ("/ws/%C3%A9", "\u{e9}"), ("/ws/a+b", "a+b"),
            ("/ws/" + String(repeating: "%61", count: 255), String(repeating: "a", count: 255)),
        ] as [(String, String?)]
    )
    func aPathNamesAResource(_ target: String, _ resource: String?) throws {
        #expect(try upgrade(Handshake(target).bytes).get().resource == resource.map { Identifier($0) })
    }

    @Test(
        arguments: [
            ("/", .notFound), ("/w", .notFound), ("/wss", .notFound), ("/ws/", .notFound), ("/ws//", .notFound),
            ("/ws/a/", .notFound),
            ("/ws/a/b", .notFound), ("//ws", .notFound), ("/WS", .notFound), ("/%77s", .notFound),
            ("/ws%2Fa", .notFound),
            ("/ws/%00", .badRequest), ("/ws/%0A", .badRequest), ("/ws/%ff", .badRequest), ("/ws/%7F", .badRequest),
            ("/ws/" + String(repeating: "a", count: 256), .badRequest),
            ("/ws/" + String(repeating: "%61", count: 256), .badRequest),
        ] as [(String, Outcome)]
    )
    func aPathIsRefused(_ target: String, _ expected: Outcome) {
        #expect(outcome(upgrade(Handshake(target).bytes)) == expected)
    }

    @Test func theBasePathIsConfigured() throws {
        let root = try #require(BasePath("/"))
        #expect(try upgrade(Handshake("/").bytes, base: root).get().resource == nil)
        #expect(try upgrade(Handshake("/a").bytes, base: root).get().resource == "a")
        #expect(outcome(upgrade(Handshake("/a/b").bytes, base: root)) == .notFound)
        let deep = try #require(BasePath("/api/live/"))
        #expect(try upgrade(Handshake("/api/live").bytes, base: deep).get().resource == nil)
        #expect(try upgrade(Handshake("/api/live/a").bytes, base: deep).get().resource == "a")
        #expect(outcome(upgrade(Handshake("/api").bytes, base: deep)) == .notFound)
        for text in ["", "ws", "/a b", "/a?b", "/%41", "/\u{e9}"] { #expect(BasePath(text) == nil) }
    }

    @Test(
        arguments: [
            ("Upgrade", nil, .upgradeRequired), ("Upgrade", "", .upgradeRequired), ("Upgrade", "h2c", .upgradeRequired),
            ("Upgrade", "websockets", .upgradeRequired), ("Upgrade", "web socket", .upgradeRequired),
            ("Sec-WebSocket-Version", "8", .upgradeRequired), ("Sec-WebSocket-Version", "013", .upgradeRequired),
            ("Sec-WebSocket-Version", "13, 8", .upgradeRequired), ("Sec-WebSocket-Version", "", .upgradeRequired),
            ("Sec-WebSocket-Version", nil, .badRequest), ("Connection", nil, .badRequest),
            ("Connection", "keep-alive", .badRequest),
            ("Connection", "close, upgraded", .badRequest), ("Sec-WebSocket-Key", nil, .badRequest),
            ("Sec-WebSocket-Key", "", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR==", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ===", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j====", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j-_==", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQA=", .badRequest),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAAA", .badRequest),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", .badRequest),
            ("Sec-WebSocket-Protocol", "", .badRequest), ("Sec-WebSocket-Protocol", ",", .badRequest),
            ("Sec-WebSocket-Protocol", "a b", .badRequest), ("Sec-WebSocket-Protocol", "a, a", .badRequest),
            ("Sec-WebSocket-Protocol", "a, b/c", .badRequest), ("Sec-WebSocket-Protocol", "\"a\"", .badRequest),
            ("Sec-WebSocket-Protocol", (0...32).map { "p\($0)" }.joined(separator: ","), .badRequest),
        ] as [(String, String?, Outcome)]
    )
    func aHandshakeIsRefused(_ name: String, _ value: String?, _ expected: Outcome) {
        #expect(outcome(upgrade(Handshake().with(name, value).bytes)) == expected)
    }

    @Test(arguments: [
        ("Upgrade", "WebSocket"), ("Upgrade", "h2c, websocket"), ("Connection", "keep-alive, Upgrade"),
        ("Connection", "UPGRADE"),
        ("Connection", " , ,upgrade,"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Sec-WebSocket-Key", "+/+/+/+/+/+/+/+/+/+/+w=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Extensions", "?;;="),
        ("Sec-WebSocket-Protocol", "a, A"),
        ("Sec-WebSocket-Protocol", (1...32).map { "p\($0)" }.joined(separator: ", ")),
    ])
    func aHandshakeIsTaken(_ name: String, _ value: String) {
        #expect(outcome(upgrade(Handshake().with(name, value).bytes)) == nil)
    }

    @Test(
        arguments: [
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", .badRequest), ("Sec-WebSocket-Version: 13", .badRequest),
            ("Connection: close", nil), ("Upgrade: h2c", nil),
        ] as [(String, Outcome?)]
    )
    func aLineMoreThanOnce(_ line: String, _ expected: Outcome?) {
        #expect(outcome(upgrade(Handshake().adding(line).bytes)) == expected)
    }

    @Test func originAndAuthorizationStandOnce() {
        let origin = Handshake("/ws", "Origin: https://a")
        #expect(outcome(upgrade(origin.bytes)) == nil)
        #expect(outcome(upgrade(origin.adding("Origin: https://a").bytes)) == .badRequest)
        let bearer = Handshake("/ws", "Authorization: Bearer a")
        #expect(outcome(upgrade(bearer.bytes)) == nil)
        #expect(outcome(upgrade(bearer.adding("Authorization: Bearer a").bytes)) == .ambiguousCredential)
        #expect(outcome(upgrade(bearer.adding("authorization: Basic b").bytes)) == .ambiguousCredential)
    }

    /// A path that is not the gate's is not there for anybody; one that is tells how to ask.
    @Test func thePathIsDecidedFirst() {
        #expect(outcome(upgrade(Handshake("/other").with("Upgrade", nil).bytes)) == .notFound)
        #expect(outcome(upgrade(Handshake().with("Upgrade", nil).with("Connection", nil).bytes)) == .upgradeRequired)
        #expect(
            outcome(upgrade(Handshake().with("Upgrade", nil).with("Sec-WebSocket-Key", nil).bytes)) == .upgradeRequired
        )
    }

    @Test(
        arguments: [
            ([], nil, false), (["portcullis.v1"], "portcullis.v1", true), (["portcullis.raw"], "portcullis.raw", false),
            (["chat"], nil, false), (["mqtt"], "mqtt", false), (["chat, mqtt, portcullis.v1"], "mqtt", false),
            (["chat", "portcullis.v1, mqtt"], "portcullis.v1", true), (["Portcullis.V1"], nil, false),
            (["base64url.bearer.portcullis.YQ"], nil, false),
            (["base64url.bearer.portcullis.YQ, portcullis.v1"], "portcullis.v1", true),
            (["base64url.bearer.portcullis.c2VjcmV0"], nil, false),
            (["base64url.bearer.authorization.k8s.io.YQ, mqtt"], "mqtt", false),
        ] as [([String], String?, Bool)]
    )
    func theFirstKnownSubprotocolIsChosen(_ lines: [String], _ echoed: String?, _ isVersion1: Bool) throws {
        var handshake = Handshake()
        handshake.lines += lines.map { "Sec-WebSocket-Protocol: " + $0 }
        let bytes = handshake.bytes
        var head = RequestHead()
        #expect(head.parse(bytes.span) == .complete(length: bytes.count))
        let names = ["mqtt", "base64url.bearer.portcullis.c2VjcmV0"].map { Array($0.utf8) }
        let chosen = Subprotocol.choose(head, bytes.span, names: names)
        #expect(chosen.echoed.map { String(decoding: bytes[$0], as: UTF8.self) } == echoed)
        #expect(chosen.isVersion1 == isVersion1)
        let offers = try upgrade(bytes).get().offersVersion1
        #expect(offers == lines.joined(separator: ",").contains("portcullis.v1"))
    }
}

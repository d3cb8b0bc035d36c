import Testing

@testable import PortcullisClient

@Suite("URLs and credentials")
struct GateURLTests {
    static let urls: [(String, host: String, port: Int, target: String, authority: String)] = [
        ("ws://localhost", "localhost", 80, "/ws", "localhost"),
        ("WS://localhost:8080/", "localhost", 8080, "/ws", "localhost:8080"),
        ("ws://127.0.0.1:80/ws/doc:42", "127.0.0.1", 80, "/ws/doc:42", "127.0.0.1"),
        ("ws://[::1]:9/ws?ticket=a", "::1", 9, "/ws?ticket=a", "[::1]:9"),
        ("ws://h/ws/a b/ü%20?x=y z", "h", 80, "/ws/a%20b/%C3%BC%20?x=y%20z", "h"),
        ("ws://h?ticket=a", "h", 80, "/ws?ticket=a", "h"),
    ]

    @Test("a URL", arguments: urls)
    func accepted(text: String, host: String, port: Int, target: String, authority: String) throws {
        let url = try GateURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.target(ticket: nil) == target)
        #expect(url.authority == authority)
    }

    @Test(
        "not a URL of a gate",
        arguments: [
            "", "localhost:8080", "http://h", "wss://", "wss://h#f", "ws://", "ws://:80", "ws://h:0", "ws://h:65536",
            "ws://h:+1",
            "ws://h:", "ws://u:p@h", "ws://h/ws#f", "ws://[::1", "ws://[::1]x", "ws://h\r\nX: y/", "ws://h h",
        ]
    )
    func refused(text: String) {
        let error = #expect(throws: GateFailure.self) { try GateURL(text) }
        #expect(error?.kind == .invalid)
    }

    @Test("wss is a scheme with a port and an origin of its own")
    func tls() throws {
        let url = try GateURL("wss://h")
        #expect(url.isSecure && url.port == 443 && url.authority == "h" && url.origin == "https://h")
        #expect(try GateURL("wss://h:80").authority == "h:80")
        #expect(try GateURL("WSS://h").bound(to: "r").isSecure)
        #expect("\(url)" == "wss://h/ws")
        #expect(try !GateURL("ws://h").isSecure)
    }

    @Test("a resource is bound, and read back")
    func resource() throws {
        #expect(try GateURL("ws://h").bound(to: "a/b ü?").path == "/ws/a%2Fb%20%C3%BC%3F")
        #expect(try GateURL("ws://h").bound(to: "a/b ü?").resource == "a/b ü?")
        #expect(try GateURL("ws://h/ws/doc:42").resource == "doc:42")
        #expect(try GateURL("ws://h/ws").resource == nil)
        #expect(try GateURL("ws://h/ws/%zz").resource == nil)
        #expect(throws: GateFailure.self) { try GateURL("ws://h/ws/a").bound(to: "b") }
        #expect(throws: GateFailure.self) { try GateURL("ws://h").bound(to: "") }
        #expect(throws: GateFailure.self) { try GateURL("ws://h").bound(to: String(repeating: "x", count: 256)) }
    }

    @Test("no secret has a printable form")
    func redaction() throws {
        let credentials: [GateCredential] = [
            .token("hush"), .session(id: "hush"), .ticket("hush"), .subprotocolToken("hush"),
            .firstMessage(token: "hush"),
        ]
        let messages: [ClientMessage] = [.refresh(token: "hush"), .authenticate(token: "hush")]
        var text = ""
        dump(credentials, to: &text)
        dump(messages, to: &text)
        let url = try GateURL("ws://h/ws?ticket=hush")
        dump(url, to: &text)
        text += "\(credentials) \(messages) \(url) \(String(reflecting: url)) \(String(reflecting: credentials))"
        #expect(!text.contains("hush"))
        #expect("\(url)" == "ws://h/ws?…")
    }
}

@Suite("JSON as it came")
struct RawJSONTests {
    @Test(
        "a value",
        arguments: [
            "null", "true", "-0.5e+10", "0", #""""#, #""\u00e9\n\ud83d\ude00""#, "[]", "[1, [2]]", "{}",
            #"{"a":{"b":[null]}, "a":1}"#, #""é""#,
        ]
    )
    func valid(text: String) {
        #expect(RawJSON(text)?.text == text)
        #expect(RawJSON(" \n\(text)\t\r ")?.text == text)
    }

    @Test(
        "not a value",
        arguments: [
            "", " ", "nul", "nullx", "01", "1.", ".5", "+1", "1e", "--1", "[1,]", "[", "{\"a\"}", "{a:1}", "{\"a\":1,}",
            "\"", "\"\n\"", #""\x""#, #""\u12g4""#, "1 2", "'a'", "NaN", "0x10", String(repeating: "[", count: 100_000),
        ]
    )
    func invalid(text: String) {
        #expect(RawJSON(text) == nil)
    }

    @Test("strings are unescaped, and halves of pairs repaired")
    func strings() {
        #expect(RawJSON(#""a\"\\\/\b\f\n\r\tü\u00fc\ud83d\ude00""#)?.string == "a\"\\/\u{8}\u{C}\n\r\tüü😀")
        #expect(RawJSON(#""\ud83d!""#)?.string == "\u{FFFD}!")
        #expect(RawJSON("1")?.string == nil)
    }

    @Test("any string can be written and read back", arguments: ["", "\u{0}\u{1F}\"\\\n\r\t", "ü😀\u{2028}"])
    func roundTrip(text: String) {
        let json = RawJSON(string: text)
        #expect(json.string == text)
        #expect(RawJSON(json.text) == json)
    }

    @Test("numbers keep their digits")
    func numbers() {
        #expect(RawJSON("123456789012345678901234567890")?.text == "123456789012345678901234567890")
        #expect(RawJSON("1e999")?.number == nil)
        #expect(RawJSON("1.5")?.integer == nil)
        #expect(RawJSON("2e3")?.integer == 2000)
        #expect(RawJSON("\"1\"")?.number == nil)
    }
}

@Suite("Server messages")
struct ServerMessageTests {
    static let messages: [(String, ServerMessage)] = [
        (
            #"{"type":"welcome","connection":"c","user":"u","session":"s","expires_at":1.5,"resource":"r","role":"editor","permissions":{"r":"editor","q":"viewer"},"node":"n","heartbeat_s":25,"new":{}}"#,
            .welcome(
                Welcome(
                    connection: "c",
                    user: "u",
                    session: "s",
                    expiresAt: 1.5,
                    resource: "r",
                    role: "editor",
                    permissions: ["r": "editor", "q": "viewer"],
                    node: "n",
                    heartbeatSeconds: 25
                )
            )
        ),
        (
            #"{"type":"permission","resource":"r","from":"editor","to":null,"version":7,"reason":"x"}"#,
            .permission(PermissionChange(resource: "r", from: "editor", to: nil, version: 7, reason: "x"))
        ),
        (#"{"type":"expiring","expires_at":12,"in_s":30}"#, .expiring(expiresAt: 12, inSeconds: 30)),
        (
            #"{"type":"refreshed","expires_at":null,"permissions":{}}"#,
            .refreshed(expiresAt: nil, permissions: [:])
        ),
        (
            #"{"type":"reauthenticate","deadline_s":60,"reason":"sudo"}"#,
            .reauthenticate(deadlineSeconds: 60, reason: "sudo")
        ),
        (#"{"type":"notice","data":{"a": 1.00}}"#, .notice(data: RawJSON(#"{"a": 1.00}"#) ?? .null)),
        (
            #"{"type":"message","resource":"r","user":"u","connection":"c","data":null}"#,
            .message(Relayed(resource: "r", user: "u", connection: "c", data: .null))
        ),
        (
            #"{"type":"message","resource":"r","user":"u","connection":"c","b64":"AP8="}"#,
            .message(Relayed(resource: "r", user: "u", connection: "c", base64: "AP8="))
        ),
        (
            #"{"type":"joined","resource":"r","role":"viewer","members":3,"ref":"x"}"#,
            .joined(
                Membership(resource: "r", role: "viewer", members: RawJSON("3"), ref: RawJSON(string: "x"))
            )
        ),
        (#"{"type":"left","resource":"r","user":"u"}"#, .left(Membership(resource: "r", user: "u"))),
        (#"{"type":"missed","resource":"r"}"#, .missed(resource: "r")),
        (
            #"{"type":"error","code":"forbidden","detail":"no","ref":[1]}"#,
            .error(MessageError(code: "forbidden", detail: "no", ref: RawJSON("[1]")))
        ),
        (
            #"{"type":"closing","code":4401,"reason":"expired","reconnect":"reauthenticate","retry_after_ms":null}"#,
            .closing(Closing(code: 4401, reason: "expired", reconnect: .reauthenticate))
        ),
        (
            #"{"type":"closing","code":1001,"reason":"r","reconnect":"soon","retry_after_ms":1e300}"#,
            .closing(Closing(code: 1001, reason: "r", retryAfter: .seconds(86_400)))
        ),
    ]

    @Test("a message", arguments: messages)
    func known(text: String, message: ServerMessage) {
        #expect(ServerMessage(v1: text) == message)
    }

    @Test(
        "what is not known is handed on",
        arguments: [
            ("{\"type\":\"new\",\"x\":1}", "new"), ("{\"type\":\"welcome\"}", "welcome"), ("{\"type\":1}", nil),
            ("{}", nil), ("[]", nil), ("hello", nil), ("", nil), ("{\"type\":\"missed\"", nil),
            ("{\"type\":\"closing\",\"code\":65536}", "closing"), ("{\"type\":\"closing\",\"code\":-1}", "closing"),
        ] as [(String, String?)]
    )
    func unknown(text: String, type: String?) {
        #expect(ServerMessage(v1: text) == .other(type: type, text: text))
    }
}

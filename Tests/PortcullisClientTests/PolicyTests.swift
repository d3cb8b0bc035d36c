import Testing

@testable import PortcullisClient

@Suite("Reconnect policy")
struct PolicyTests {
    private static func closed(_ code: UInt16?, _ closing: Closing? = nil) -> Ending {
        .closed(Closed(code == nil ? .lost("x") : .gate, code: code, closing: closing))
    }

    private static func refused(_ status: Int, _ code: String? = nil, after: String? = nil) -> Ending {
        let body = code.map { Array(#"{"code":"\#($0)"}"#.utf8) } ?? []
        let refusal = Refused(status: status, contentType: "application/problem+json", retryAfter: after, body: body)
        return .failed(.refused(refusal))
    }

    private static func closing(_ reconnect: ReconnectAdvice?, after: Duration? = nil) -> Closing {
        Closing(code: 4429, reason: "x", reconnect: reconnect, retryAfter: after)
    }

    /// An ending, how many came before, whether there is somebody to ask; with the random number one half.
    static let table: [(Ending, Int, Bool, ReconnectPolicy.Decision)] = [
        (closed(4410), 0, true, .stop), (closed(4423), 0, true, .stop), (closed(4403), 0, true, .stop),
        (closed(4409), 0, true, .stop), (closed(1000), 0, true, .stop), (closed(1002), 0, true, .stop),
        (.closed(Closed(.client, code: 1000)), 0, true, .stop),
        (.closed(Closed(.violation("x"), code: 1002)), 0, true, .stop),
        (closed(4401), 0, true, .reauthenticate(after: .milliseconds(125))), (closed(4401), 0, false, .stop),
        (closed(4401), 2, true, .reauthenticate(after: .milliseconds(500))),
        (closed(1001), 0, false, .retry(after: .milliseconds(125))),
        (closed(nil), 0, false, .retry(after: .milliseconds(125))),
        (closed(nil), 1, false, .retry(after: .milliseconds(250))),
        (closed(nil), 6, false, .retry(after: .seconds(8))), (closed(nil), 7, false, .retry(after: .seconds(15))),
        (closed(nil), .max, false, .retry(after: .seconds(15))),
        (closed(nil), -1, false, .retry(after: .milliseconds(125))),
        (closed(4429, closing(.later, after: .seconds(3))), 0, false, .retry(after: .milliseconds(3375))),
        (closed(4429, closing(.later, after: .zero)), 3, false, .retry(after: .seconds(1))),
        (closed(4429, closing(.later, after: .seconds(60))), 9, false, .retry(after: .seconds(75))),
        (closed(4429, closing(.never)), 0, true, .stop), (closed(4429, closing(.reauthenticate)), 0, false, .stop),
        (closed(4429, closing(nil)), 0, false, .retry(after: .milliseconds(125))),
        (refused(503, "cannot_vouch", after: "2"), 0, false, .retry(after: .milliseconds(2250))),
        (refused(503, "draining", after: "0"), 0, false, .retry(after: .milliseconds(125))),
        (refused(503, after: "Wed, 21 Oct 2026 07:28:00 GMT"), 0, false, .retry(after: .milliseconds(125))),
        (refused(429, "rate_limited", after: "1e300"), 0, false, .retry(after: .seconds(97_200))),
        (refused(429, after: "-1"), 0, false, .retry(after: .milliseconds(125))),
        (refused(408), 0, false, .retry(after: .milliseconds(125))),
        (refused(502), 0, false, .retry(after: .milliseconds(125))),
        (refused(401, "expired"), 0, true, .reauthenticate(after: .milliseconds(125))), (refused(401), 0, false, .stop),
        (refused(401, "revoked"), 0, true, .stop), (refused(403, "forbidden_resource"), 0, true, .stop),
        (refused(403, "reauthentication_required"), 0, true, .reauthenticate(after: .milliseconds(125))),
        (refused(400), 0, true, .stop), (refused(404), 0, true, .stop), (refused(200), 0, true, .stop),
        (.failed(GateFailure(.unreachable, "")), 0, false, .retry(after: .milliseconds(125))),
        (.failed(GateFailure(.timedOut, "")), 0, false, .retry(after: .milliseconds(125))),
        (.failed(GateFailure(.notWebSocket, "")), 0, true, .stop), (.failed(.invalid("")), 0, true, .stop),
    ]

    @Test("what follows from an ending", arguments: table)
    func decision(ending: Ending, attempt: Int, canAsk: Bool, expected: ReconnectPolicy.Decision) {
        let decision = ReconnectPolicy().decide(ending, attempt: attempt, canReauthenticate: canAsk, random: 0.5)
        #expect(decision == expected)
    }

    @Test("a policy of one connection stops at every ending", arguments: table)
    func never(ending: Ending, attempt: Int, canAsk: Bool, _: ReconnectPolicy.Decision) {
        #expect(
            ReconnectPolicy.never.decide(ending, attempt: attempt, canReauthenticate: canAsk, random: 0.5) == .stop
        )
    }

    @Test("the jitter is full, and bounded whatever is passed in", arguments: [(-1, 0), (0, 0), (1, 30), (2, 30)])
    func jitter(random: Double, seconds: Int) {
        #expect(ReconnectPolicy().backoff(attempt: 40, random: random) == .seconds(seconds))
    }
}

@Suite("What a terminal shows, and what is typed")
struct TerminalTextTests {
    @Test(
        "harmful characters are shown, not done",
        arguments: [
            ("plain ü 漢字 👩‍👩‍👧", "plain ü 漢字 👩‍👩‍👧"), ("\u{1B}[31mred", "\\u{1B}[31mred"),
            ("\u{9B}2J", "\\u{9B}2J"), ("a\nb\r\tc", "a\\nb\\r\\tc"), ("\u{7F}\u{8}\u{0}", "\\u{7F}\\u{8}\\u{0}"),
            ("a\u{202E}b\u{2066}", "a\\u{202E}b\\u{2066}"), ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{E0041}", "\\u{E0041}"), ("\u{FEFF}", "\\u{FEFF}"),
        ]
    )
    func clean(text: String, shown: String) {
        #expect(PlainText.clean(text) == shown)
    }

    @Test("long texts are cut")
    func limit() {
        #expect(PlainText.clean("abcdef", limit: 4) == "abcd … (2 more)")
        #expect(PlainText.clean("abcd", limit: 4) == "abcd")
    }

    @Test("JSON comes on one line with nothing harmful in it, and the same in value")
    func line() throws {
        let json = try #require(RawJSON("{\n\t\"a\" :\r\n \"\u{9B}\u{7F}\u{202E}\u{E0041}ü\"}"))
        let line = PlainText.line(of: json)
        #expect(line == #"{  "a" :   "\u009b\u007f\u202e\udb40\udc41ü"}"#)
        #expect(RawJSON(line)?.members?["a"]?.string == json.members?["a"]?.string)
    }

    static let lines: [(String, String?, ClientMessage?)] = [
        (#"{"a":1}"#, "r", .publish(resource: "r", data: RawJSON(#"{"a":1}"#) ?? .null)),
        ("hello there", "r", .publish(resource: "r", data: RawJSON(string: "hello there"))),
        ("42", "r", .publish(resource: "r", data: RawJSON("42") ?? .null)), ("  ", "r", nil), ("", nil, nil),
        ("/join doc:1", nil, .join(resource: "doc:1")), ("/leave doc:1", "r", .leave(resource: "doc:1")),
        ("/publish q a  b", nil, .publish(resource: "q", data: RawJSON(string: "a  b"))),
        ("/publish q [1, 2]", nil, .publish(resource: "q", data: RawJSON("[1, 2]") ?? .null)),
        ("/say /join", "r", .publish(resource: "r", data: RawJSON(string: "/join"))),
    ]

    @Test("a typed line", arguments: lines)
    func typed(line: String, resource: String?, message: ClientMessage?) {
        #expect(TypedLine.read(line, subprotocol: .v1, resource: resource) == .success(message))
        #expect(TypedLine.read(line, subprotocol: .raw, resource: resource) == .success(.text(line)))
    }

    @Test("a line that means nothing", arguments: ["hello", "/join", "/join a b", "/publish r", "/say x", "/x", "/"])
    func misunderstood(line: String) {
        guard case .failure(let why) = TypedLine.read(line, subprotocol: .v1, resource: nil) else {
            Issue.record("understood")
            return
        }
        #expect(why.sentence.contains("/join"))
    }
}

import PortcullisCore
import PortcullisWire
import TestKit
import Testing

@Suite struct RequestHeadTests {
    @Test func aHandshakeIsRead() throws {
        let bytes = Handshake("/ws/doc%3A42?ticket=t&x=1", "X-Empty:", "X-Space: \t a b\t ").bytes
        var head = RequestHead()
        #expect(head.parse(bytes.span) == .complete(length: bytes.count))
        func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        #expect(text(head.path) == "/ws/doc%3A42")
        #expect(head.query.map(text) == "ticket=t&x=1")
        #expect(text(head.host) == "gate.example.com")
        #expect(head.fields.map { text($0.written) }.suffix(2) == ["X-Empty", "X-Space"])
        #expect(head.fields.map { text($0.value) }.suffix(2) == ["", "a b"])
        #expect(head.value(.key).map(text) == "dGhlIHNhbXBsZSBub25jZQ==")
    }

    @Test func whatFollowsTheHeadIsLeftToTheCaller() {
        let bytes = Handshake().bytes
        #expect(progress(bytes + [0x81, 0x80, 1, 2, 3, 4]) == .complete(length: bytes.count))
        #expect(progress(bytes + bytes) == .complete(length: bytes.count))
    }

    @Test func aKeptHeadRemembersNothing() {
        var head = RequestHead()
        let first = Handshake("/ws?a", "Content-Length: 0").bytes
        let second = Handshake("/ws").bytes
        #expect(head.parse(first.span) == .complete(length: first.count))
        #expect(head.parse(second.span) == .complete(length: second.count))
        #expect(head.query == nil)
        #expect(head.fields.count == 5)
        #expect(head.parse(first.span.extracting(first: 10)) == .incomplete)
        #expect(head.fields.isEmpty)
    }

    @Test(arguments: [
        "POST /ws HTTP/1.1", "get /ws HTTP/1.1", "GETT /ws HTTP/1.1", "HEAD /ws HTTP/1.1", "OPTIONS * HTTP/1.1",
        "CONNECT gate.example.com:443 HTTP/1.1", " GET /ws HTTP/1.1", "GET  /ws HTTP/1.1", "GET /ws  HTTP/1.1",
        "GET /ws HTTP/1.0", "GET /ws HTTP/2.0", "GET /ws HTTP/1.2", "GET /ws http/1.1", "GET /ws", "GET /ws HTTP/1.1 ",
        "GET /ws HTTP/1.1\r", "GET * HTTP/1.1", "GET ws HTTP/1.1", "GET  HTTP/1.1",
        "GET http://gate.example.com/ws HTTP/1.1",
        "GET /ws#part HTTP/1.1", "GET /ws?a#part HTTP/1.1", "GET /ws%2 HTTP/1.1", "GET /ws%zz HTTP/1.1",
        "GET /ws? a HTTP/1.1",
        "GET /ws?%f HTTP/1.1", "GET /w\"s HTTP/1.1", "GET /w<s HTTP/1.1", "GET /w\\s HTTP/1.1", "GET /w^s HTTP/1.1",
        "GET /w{s HTTP/1.1",
        "GET /w|s HTTP/1.1", "GET /w`s HTTP/1.1", "GET /w[s HTTP/1.1", "GET /\u{e9} HTTP/1.1", "GET /\t HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /ws\tHTTP/1.1", "\r\nGET /ws HTTP/1.1", "GET /ws HTTP/1.1\r\n folded: line", "PRI * HTTP/2.0",
    ])
    func aBadRequestLineIsRefused(_ line: String) {
        var handshake = Handshake()
        handshake.request = line
        #expect(outcome(progress(handshake.bytes)) == .badRequest)
    }

    @Test(arguments: [
        "X : a", "X\t: a", ": a", "X", "X a: b", " X: a", "\tX: a", "X\u{e9}: a", "X(: a", "X\0: a", "X: a\0b",
        "X: a\u{1}", "X: a\u{7F}",
        "X: a\nY: b", "X: a\rY: b", "X: a\r\n b", "X: a\r\n\tb", "X: a\r", "X:\n", "\"X\": a", "X\u{0B}: a",
        "X: a\u{0C}b", "X;y: a",
    ])
    func aBadHeaderLineIsRefused(_ line: String) {
        #expect(outcome(progress(Handshake().adding(line).bytes)) == .badRequest)
    }

    @Test(arguments: [
        "X: caf\u{e9}", "X: a\tb", "X:a", "X:\t a \t", "X:", "x!#$%&'*+-.^_`|~1: a", "X: \"(quoted)\";,<>@[]{}\\",
    ])
    func whatTheGrammarAllowsIsTaken(_ line: String) {
        let bytes = Handshake().adding(line).bytes
        #expect(progress(bytes) == .complete(length: bytes.count))
    }

    @Test(
        arguments: [
            nil, "", " ", "a b", "a@b", "a/b", "a,b", "a:b", "a:65536", "a:123456", "a:1:2", "[::1", "[]", "[::1]x",
            "::1", "a\\b", "a?b", "%4",
            "%zz", ":80", "a:-1", "<a>",
        ] as [String?]
    )
    func aBadHostIsRefused(_ host: String?) {
        // A comma is allowed in a registered name (RFC 3986, section 3.2.2), though no host has one.
        let expected: Outcome? = host == "a,b" ? nil : .badRequest
        #expect(outcome(progress(Handshake().with("Host", host).bytes)) == expected)
    }

    @Test(arguments: [
        "a", "a:80", "a:", "10.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "A_b-c.example", "a%2Db", "localhost:65535",
    ])
    func aHostIsTaken(_ host: String) {
        #expect(outcome(progress(Handshake().with("Host", host).bytes)) == nil)
    }

    @Test(arguments: ["Host: gate.example.com", "host: other.example.com", "HOST: x"])
    func aSecondHostIsRefused(_ line: String) {
        #expect(outcome(progress(Handshake().adding(line).bytes)) == .badRequest)
    }

    @Test(
        arguments: [
            (["Content-Length: 0"], nil), (["Content-Length: 00"], nil), (["Content-Length: 5"], .bodyForbidden),
            (["Content-Length: 99999999999999999999999"], .bodyForbidden),
            (["Transfer-Encoding: chunked"], .bodyForbidden),
            (["transfer-encoding: CHUNKED"], .bodyForbidden), (["Transfer-Encoding: identity"], .bodyForbidden),
            (["Content-Length: 0", "Content-Length: 0"], .badRequest),
            (["Content-Length: 0", "Content-Length: 5"], .badRequest),
            (["Content-Length: 5, 5"], .badRequest), (["Content-Length: +0"], .badRequest),
            (["Content-Length: -0"], .badRequest),
            (["Content-Length: 0x0"], .badRequest), (["Content-Length:"], .badRequest),
            (["Content-Length: 0 0"], .badRequest),
            (["Transfer-Encoding: chunked", "Content-Length: 0"], .badRequest),
            (["Content-Length: 5", "Transfer-Encoding: chunked"], .badRequest), (["Transfer-Encoding:"], .badRequest),
            (["Transfer-Encoding: gzip, chunked"], .badRequest), (["Transfer-Encoding: chunked;x"], .badRequest),
            (["Transfer-Encoding: \"chunked\""], .badRequest),
            (["Transfer_Encoding: chunked"], .badRequest), (["content_length: 0"], .badRequest),
            (["Content-Encoding: gzip"], .bodyForbidden),
            (["X: y\tTransfer-Encoding: chunked"], .badRequest), (["X: transfer-encoding:"], .badRequest),
            (["X: transfer-encoding"], nil), (["TE: trailers"], nil),
        ] as [([String], Outcome?)]
    )
    func aBodyIsRefused(_ lines: [String], _ expected: Outcome?) {
        var handshake = Handshake()
        handshake.lines += lines
        #expect(outcome(progress(handshake.bytes)) == expected)
    }

    @Test func theLimitsAreExact() {
        let bytes = Handshake().bytes
        #expect(progress(bytes, HeadLimits(bytes: bytes.count)) == .complete(length: bytes.count))
        #expect(outcome(progress(bytes, HeadLimits(bytes: bytes.count - 1))) == .headersTooLarge)
        #expect(progress(bytes, HeadLimits(lines: 5)) == .complete(length: bytes.count))
        #expect(outcome(progress(bytes, HeadLimits(lines: 4))) == .headersTooLarge)
        #expect(outcome(progress(bytes, HeadLimits(bytes: 0))) == .headersTooLarge)
        #expect(outcome(progress(bytes, HeadLimits(bytes: -1, lines: -1))) == .headersTooLarge)
        var long = Handshake()
        long.lines += (0..<95).map { "X-\($0): y" }
        #expect(outcome(progress(long.bytes)) == nil)
        #expect(outcome(progress(long.adding("X: y").bytes)) == .headersTooLarge)
        #expect(
            outcome(progress(Handshake("/ws", "X: " + String(repeating: "y", count: 16_384)).bytes)) == .headersTooLarge
        )
        #expect(outcome(progress(Handshake("/" + String(repeating: "y", count: 16_384)).bytes)) == .headersTooLarge)
    }

    /// Nothing is waited for that could not save the request.
    @Test(
        arguments: [
            ("P", .badRequest), ("\u{16}", .badRequest), ("\0", .badRequest), ("GE ", .badRequest),
            ("GET h", .badRequest),
            ("GET /ws HTTP/2", .badRequest), ("GET /ws HTTP/1.1\n", .badRequest),
            ("GET /ws HTTP/1.1\r\n ", .badRequest),
            ("GET /ws HTTP/1.1\r\nHost: a\r\nHost: b\r\n", .badRequest),
            ("GET /ws HTTP/1.1\r\nContent-Length: x\r\n", .badRequest),
            ("GET /%z", .badRequest), ("GET /ws HTTP/1.1\r\nX: \u{1}", .badRequest),
        ] as [(String, Outcome)]
    )
    func aRefusalComesAsEarlyAsCanBe(_ start: String, _ expected: Outcome) {
        #expect(outcome(progress(Array(start.utf8))) == expected)
        #expect(progress(Array(start.utf8.dropLast())) == .incomplete)
    }

    /// Every prefix of a head says nothing until the whole does, or says what the whole says.
    @Test func noCutChangesWhatAHeadSays() {
        var heads = [
            Handshake("/ws/a?b=c", "Cookie: a=b; c=d").bytes, Handshake("/ws", "X : y").bytes,
            Handshake("/ws", "Content-Length: 7").bytes,
            Handshake().with("Host", nil).bytes, Handshake().adding("X: a\r b").bytes, Handshake("/ws%4").bytes,
        ]
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<100 {
            var head = Handshake("/ws/doc?ticket=abc", "Origin: https://a").bytes
            let at = Int.random(in: head.indices, using: &generator)
            head[at] = UInt8.random(in: 0...255, using: &generator)
            heads.append(head)
        }
        for head in heads {
            let whole = progress(head)
            var seen = RequestHead.Progress.incomplete
            for length in 0...head.count {
                let now = progress(Array(head.prefix(length)))
                if seen == .incomplete { seen = now }
                #expect(now == seen, "\(length) of \(head)")
            }
            #expect(seen == whole)
        }
    }
}

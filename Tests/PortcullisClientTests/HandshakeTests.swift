import PortcullisClient
import Testing

@Suite("Handshake", .timeLimit(.minutes(5)))
struct HandshakeTests {
    private func failure(
        of script: @escaping @Sendable (Peer) async throws -> Void,
        options: GateConnection.Options = .init()
    ) async throws -> GateFailure? {
        try await ScriptedServer.run(script) { url in
            do throws(GateFailure) {
                _ = try await GateConnection.connect(to: url, credential: .token("abc"), options: options)
                return nil
            } catch {
                return error
            }
        }
    }

    static let refusals: [(Int, String, ReconnectAdvice)] = [
        (400, "ambiguous_credential", .never), (401, "expired", .reauthenticate), (401, "revoked", .never),
        (403, "forbidden_resource", .never), (403, "reauthentication_required", .reauthenticate),
        (403, "blocked", .never), (404, "not_found", .never), (408, "handshake_timeout", .later),
        (426, "upgrade_required", .never), (429, "rate_limited", .later), (503, "cannot_vouch", .later),
    ]

    @Test("a refusal is read from its problem document", arguments: refusals)
    func refusal(status: Int, code: String, advice: ReconnectAdvice) async throws {
        let failure = try await failure { peer in
            _ = try await peer.request()
            let body =
                #"{"type":"about:blank","title":"No.","status":\#(status),"code":"\#(code)","detail":"why","request_id":"r-1"}"#
            try await peer.write(
                "HTTP/1.1 \(status) No\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                    + "Retry-After: 7\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            try await peer.gone()
        }
        let refusal = try #require(failure?.refusal)
        #expect(failure?.kind == .refused)
        #expect(refusal.status == status)
        #expect(refusal.code == code)
        #expect(refusal.title == "No.")
        #expect(refusal.detail == "why")
        #expect(refusal.requestID == "r-1")
        #expect(refusal.retryAfter == .seconds(7))
        #expect(refusal.advice == advice)
    }

    @Test("a refusal without a problem document has its status")
    func bareRefusal() async throws {
        let failure = try await failure { peer in
            _ = try await peer.request()
            try await peer.write("HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n<html>")
        }
        #expect(failure?.refusal?.status == 502)
        #expect(failure?.refusal?.code == nil)
        #expect(failure?.refusal?.advice == .later)
    }

    @Test("an endless body is not read to its end")
    func endlessBody() async throws {
        let failure = try await failure { peer in
            _ = try await peer.request()
            try await peer.write("HTTP/1.1 503 Full\r\nContent-Type: application/problem+json\r\n\r\n")
            while true { try await peer.write(Array(repeating: 0x20, count: 4096)) }
        }
        #expect(failure?.refusal?.status == 503)
    }

    @Test("a gate that never answers is given up at the deadline")
    func silence() async throws {
        var options = GateConnection.Options()
        options.handshakeTimeout = .milliseconds(100)
        let failure = try await failure(of: { try await $0.gone() }, options: options)
        #expect(failure?.kind == .timedOut)
    }

    @Test("half an answer is no answer")
    func halfAnAnswer() async throws {
        var options = GateConnection.Options()
        options.handshakeTimeout = .milliseconds(100)
        let failure = try await failure(
            of: { peer in
                try await peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgr")
                try await peer.gone()
            },
            options: options
        )
        #expect(failure?.kind == .timedOut)
    }

    @Test("a connection that is dropped instead of answered is unreachable")
    func dropped() async throws {
        let failure = try await failure { _ = try await $0.request() }
        #expect(failure?.kind == .unreachable)
        #expect(failure.map(Ending.failed)?.advice == .later)
    }

    @Test("nobody at the address is unreachable")
    func nobody() async throws {
        let url = try await ScriptedServer.run({ _ in }, { url in url })
        await #expect(throws: GateFailure.self) {
            while true { _ = try await GateConnection.connect(to: url, credential: .none) }
        }
    }

    @Test(
        "what is no WebSocket handshake is told from a gate",
        arguments: [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: portcullis.v1\r\n\r\n",
        ]
    )
    func garbage(answer: String) async throws {
        let failure = try await failure { peer in
            _ = try await peer.request()
            try await peer.write(answer)
            try await peer.gone()
        }
        #expect(failure?.kind == .notWebSocket)
    }

    @Test("a subprotocol that was not asked for is refused", arguments: [nil, "portcullis.v2", "portcullis.raw"])
    func subprotocol(chosen: String?) async throws {
        let failure = try await failure { peer in
            try await peer.accept(subprotocol: chosen)
            try await peer.gone()
        }
        #expect(failure?.kind == .notWebSocket)
    }

    @Test("a cancelled task stops waiting for an answer")
    func cancelled() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        try await ScriptedServer.run { peer in
            _ = try await peer.request()
            asked.continuation.yield()
            try await peer.gone()
            asked.continuation.finish()
        } _: { url in
            let task = Task { try await GateConnection.connect(to: url, credential: .none) }
            var requests = asked.stream.makeAsyncIterator()
            _ = await requests.next()
            task.cancel()
            let result = await task.result
            #expect(throws: GateFailure.self) { try result.get() }
            // The socket is closed, too.
            #expect(await requests.next() == nil)
        }
    }

    @Test("the request carries the credential where the protocol wants it")
    func request() async throws {
        let cases: [(GateCredential, String, [String])] = [
            (.token("a.b.c"), "GET /ws HTTP/1.1", ["Authorization: Bearer a.b.c"]),
            (.session(id: "s1", cookieName: "sid"), "GET /ws HTTP/1.1", ["Cookie: sid=s1", "Origin: http://HOST"]),
            (.ticket("a+b"), "GET /ws?ticket=a%2Bb HTTP/1.1", []),
            (.firstMessage(token: "a.b"), "GET /ws HTTP/1.1", []), (.none, "GET /ws HTTP/1.1", []),
        ]
        for (credential, line, headers) in cases {
            let requests = AsyncStream.makeStream(of: String.self)
            try await ScriptedServer.run { peer in
                requests.continuation.yield(try await peer.accept())
                try await peer.gone()
            } _: { url in
                let connection = try await GateConnection.connect(to: url, credential: credential)
                var iterator = requests.stream.makeAsyncIterator()
                let lines = try #require(await iterator.next()).split(separator: "\r\n").map(String.init)
                #expect(lines.first == line)
                #expect(lines.contains("Host: 127.0.0.1:\(url.port)"))
                #expect(lines.contains("Sec-WebSocket-Protocol: portcullis.v1"))
                for header in headers {
                    #expect(lines.contains(header.replacing("HOST", with: "127.0.0.1:\(url.port)")))
                }
                connection.startClosing()
            }
        }
    }

    @Test("a token as a subprotocol is offered behind what is spoken", arguments: [Subprotocol.v1, .raw])
    func subprotocolToken(spoken: Subprotocol) async throws {
        let name = spoken == .v1 ? "portcullis.v1" : "portcullis.raw"
        let requests = AsyncStream.makeStream(of: String.self)
        try await ScriptedServer.run { peer in
            requests.continuation.yield(try await peer.accept(subprotocol: name))
            try await peer.gone()
        } _: { url in
            var options = GateConnection.Options()
            options.subprotocol = spoken
            // Of every length modulo three, and with both characters that differ from base64.
            for (token, encoded) in [("a", "YQ"), ("a.", "YS4"), ("a.b", "YS5i"), ("~~>~~?", "fn4-fn4_")] {
                let credential = GateCredential.subprotocolToken(Secret(token))
                let connection = try await GateConnection.connect(to: url, credential: credential, options: options)
                var iterator = requests.stream.makeAsyncIterator()
                let request = try #require(await iterator.next())
                #expect(request.contains("Sec-WebSocket-Protocol: \(name), base64url.bearer.portcullis.\(encoded)\r\n"))
                connection.startClosing()
            }
        }
    }

    @Test("a gate that chooses the token as the subprotocol is not believed")
    func echoedToken() async throws {
        try await ScriptedServer.run { peer in
            try await peer.accept(subprotocol: "base64url.bearer.portcullis.YQ")
            try await peer.gone()
        } _: { url in
            let error = await #expect(throws: GateFailure.self) {
                _ = try await GateConnection.connect(to: url, credential: .subprotocolToken("a"))
            }
            #expect(error?.kind == .notWebSocket)
        }
    }

    @Test("a token as the first message is one")
    func firstMessage() async throws {
        let frames = AsyncStream.makeStream(of: Peer.Frame.self)
        try await ScriptedServer.run { peer in
            try await peer.accept()
            frames.continuation.yield(try await peer.receive())
            try await peer.gone()
        } _: { url in
            let connection = try await GateConnection.connect(to: url, credential: .firstMessage(token: "a.b"))
            var iterator = frames.stream.makeAsyncIterator()
            let text = #"{"type":"authenticate","token":"a.b"}"#
            #expect(await iterator.next()?.payload == Array(text.utf8))
            connection.startClosing()
            let raw = GateConnection.Options.raw
            let error = await #expect(throws: GateFailure.self) {
                _ = try await GateConnection.connect(to: url, credential: .firstMessage(token: "a"), options: raw)
            }
            #expect(error?.kind == .invalid)
        }
    }

    @Test("a redirect is a refusal and is not followed", arguments: [301, 302, 307, 308])
    func redirect(status: Int) async throws {
        let failure = try await failure { peer in
            _ = try await peer.request()
            try await peer.write(
                "HTTP/1.1 \(status) There\r\nLocation: ws://127.0.0.1:1/ws\r\nContent-Length: 0\r\n\r\n"
            )
            try await peer.gone()
        }
        #expect(failure?.refusal?.status == status)
        #expect(failure?.refusal?.advice == .never)
    }

    @Test("a credential that could end a header is not sent")
    func injection() async throws {
        let url = try GateURL("ws://127.0.0.1:1/ws")
        let credentials: [GateCredential] = [
            .token("a\r\nX: y"), .token(""), .token("a b"), .subprotocolToken("a\n"), .firstMessage(token: ""),
            .session(id: "a;b"), .session(id: "a", cookieName: "b=c"),
        ]
        for credential in credentials {
            let error = await #expect(throws: GateFailure.self) {
                _ = try await GateConnection.connect(to: url, credential: credential)
            }
            #expect(error?.kind == .invalid)
        }
    }
}

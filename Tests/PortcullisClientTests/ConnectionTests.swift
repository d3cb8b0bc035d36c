import NIOCore
import PortcullisClient
import Testing

@Suite("Connection", .timeLimit(.minutes(5)))
struct ConnectionTests {
    /// What came, and how it ended.
    private func transcript(
        raw: Bool = false,
        options: GateConnection.Options = .init(),
        _ script: @escaping @Sendable (Peer) async throws -> Void
    ) async throws -> (messages: [ServerMessage], closed: Closed) {
        var options = options
        options.subprotocol = raw ? .raw : .v1
        return try await ScriptedServer.run { peer in
            try await peer.accept(subprotocol: raw ? nil : "portcullis.v1")
            try await script(peer)
        } _: { [options] url in
            let connection = try await GateConnection.connect(to: url, credential: .token("t"), options: options)
            var messages: [ServerMessage] = []
            for await received in connection.messages { messages.append(received.message) }
            return (messages, try #require(connection.closed))
        }
    }

    private func isCause(_ closed: Closed, _ name: String) -> Bool {
        "\(closed.cause)".hasPrefix(name)
    }

    @Test("messages come with the moment at which they were read")
    func arrival() async throws {
        try await ScriptedServer.run { peer in
            try await peer.accept()
            try await peer.send(#"{"type":"notice","data":1}"#)
            try await peer.gone()
        } _: { url in
            let before = ContinuousClock.now
            let connection = try await GateConnection.connect(to: url, credential: .none)
            var messages = connection.messages.makeAsyncIterator()
            let received = try #require(await messages.next())
            #expect(received.message == .notice(data: try #require(RawJSON("1"))))
            #expect(received.payload == .text(#"{"type":"notice","data":1}"#))
            #expect(received.arrival > before && received.arrival < .now)
            let closed = try #require(await connection.close())
            #expect(closed.cause == .client)
        }
    }

    @Test("frames in the segment of the 101 are not lost")
    func sameSegment() async throws {
        let messages = try await ScriptedServer.run { peer in
            let request = try await peer.request()
            let frames = (0..<50).flatMap { Peer.frame(0x81, Array("\($0)".utf8)) } + Peer.frame(0x88, [0x03, 0xE8])
            try await peer.write(Array(Peer.acceptance(of: request, subprotocol: nil).utf8) + frames)
            try await peer.gone()
        } _: { url in
            var options = GateConnection.Options()
            options.subprotocol = .raw
            let connection = try await GateConnection.connect(to: url, credential: .none, options: options)
            var messages: [ServerMessage] = []
            for await received in connection.messages { messages.append(received.message) }
            return messages
        }
        #expect(messages == (0..<50).map { .text("\($0)") })
    }

    @Test("a gate that accepts, says why not, closes and hangs up in one breath is understood")
    func oneBreath() async throws {
        let closed = try await ScriptedServer.run { peer in
            let request = try await peer.request()
            let closing = #"{"type":"closing","code":4423,"reason":"blocked","reconnect":"never","detail":"d"}"#
            let frames = Peer.frame(0x81, Array(closing.utf8)) + Peer.frame(0x88, [0x11, 0x47] + Array("blocked".utf8))
            try await peer.write(Array(Peer.acceptance(of: request).utf8) + frames)
        } _: { url in
            let connection = try await GateConnection.connect(to: url, credential: .none)
            return await connection.end()
        }
        #expect(closed?.cause == .gate)
        #expect(closed?.code == 4423)
        #expect(closed?.detail == "d")
    }

    @Test("fragments become one message, with control frames between them")
    func fragments() async throws {
        let pong = AsyncStream.makeStream(of: Peer.Frame.self)
        let (messages, closed) = try await transcript(raw: true) { peer in
            try await peer.send(0x01, Array("Gr".utf8) + [0xC3])
            try await peer.send(0x89, [1, 2, 3])
            try await peer.send(0x00, [])
            try await peer.send(0x80, [0xBC] + Array("ße".utf8))
            pong.continuation.yield(try await peer.receive())
            try await peer.send(0x82, [0, 255])
            try await peer.close(1000)
            try await peer.gone()
        }
        #expect(messages == [.text("Grüße"), .binary([0, 255])])
        #expect(closed.cause == .gate)
        #expect(closed.code == 1000)
        var pongs = pong.stream.makeAsyncIterator()
        #expect(await pongs.next() == Peer.Frame(first: 0x8A, isMasked: true, payload: [1, 2, 3]))
    }

    @Test(
        "a gate that breaks a rule is told which, and the connection ends",
        arguments: [
            ("masked", [0x81, 0x80, 0, 0, 0, 0], UInt16(1002)), ("reserved bit", [0xC1, 0], 1002),
            ("opcode", [0x83, 0], 1002), ("continuation", [0x80, 0], 1002), ("interleaved", [0x01, 0, 0x81, 0], 1002),
            ("fragmented ping", [0x09, 0], 1002), ("long ping", [0x89, 126, 0, 126], 1002),
            ("UTF-8", [0x81, 1, 0xFF], 1007), ("close of one byte", [0x88, 1, 3], 1002),
            ("close 1005", [0x88, 2, 3, 237], 1002), ("close with bad text", [0x88, 3, 3, 232, 0xFF], 1007),
            ("huge", [0x82, 127, 0, 0, 0, 0, 1, 0, 0, 1], 1009),
            ("absurd", [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], 1009),
        ]
    )
    func violation(name: String, bytes: [UInt8], code: UInt16) async throws {
        let told = AsyncStream.makeStream(of: Peer.Frame.self)
        let (messages, closed) = try await transcript { peer in
            try await peer.write(bytes)
            told.continuation.yield(try await peer.receive())
            try await peer.gone()
        }
        #expect(messages.isEmpty)
        #expect(closed.code == code)
        #expect(closed.advice == .never)
        #expect(isCause(closed, "violation"))
        var frames = told.stream.makeAsyncIterator()
        let payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
        #expect(await frames.next() == Peer.Frame(first: 0x88, isMasked: true, payload: payload))
    }

    @Test("many small fragments beyond the bound are refused like one large frame")
    func tooManyFragments() async throws {
        var options = GateConnection.Options()
        options.maximumMessageSize = 1000
        let (_, closed) = try await transcript(options: options) { peer in
            try await peer.send(0x02, Array(repeating: 7, count: 600))
            try await peer.send(0x00, Array(repeating: 7, count: 401))
            try await peer.gone()
        }
        #expect(closed.code == 1009)
    }

    @Test("a large message within the bound comes whole")
    func largeMessage() async throws {
        let payload = Array(repeating: UInt8(ascii: "x"), count: 3 << 20)
        let (messages, _) = try await transcript(raw: true) { peer in
            try await peer.send(0x82, payload)
            try await peer.close(1000)
            try await peer.gone()
        }
        #expect(messages == [.binary(payload)])
    }

    static let codes: [(UInt16, String, ReconnectAdvice)] = [
        (1000, "bye", .never), (1001, "shutting_down", .later), (1002, "protocol_error", .never), (1003, "", .never),
        (1007, "", .never), (1008, "", .never), (1009, "", .never), (1011, "", .later), (1013, "slow_consumer", .later),
        (3000, "", .later), (4401, "expired", .reauthenticate), (4403, "permission_revoked", .never),
        (4403, "reauthentication_required", .reauthenticate), (4408, "heartbeat_timeout", .later),
        (4409, "replaced", .never), (4410, "revoked", .never), (4410, "session_ended", .never),
        (4423, "blocked", .never), (4429, "rate_limited", .later), (4499, "of a newer gate", .never),
        (4999, "", .later),
    ]

    @Test("a raw connection is advised by the close code, and answers it", arguments: codes)
    func closeCode(code: UInt16, reason: String, advice: ReconnectAdvice) async throws {
        let answers = AsyncStream.makeStream(of: Peer.Frame.self)
        let (_, closed) = try await transcript(raw: true) { peer in
            try await peer.close(code, reason)
            answers.continuation.yield(try await peer.receive())
        }
        #expect(closed.cause == .gate)
        #expect(closed.code == code)
        #expect(closed.reason == reason)
        #expect(closed.advice == advice)
        var frames = answers.stream.makeAsyncIterator()
        #expect(await frames.next()?.payload == [UInt8(code >> 8), UInt8(code & 0xFF)])
    }

    @Test("the closing message outweighs the table")
    func closing() async throws {
        let (messages, closed) = try await transcript { peer in
            try await peer.send(
                #"{"type":"closing","code":4410,"reason":"revoked","reconnect":"later","retry_after_ms":1500,"detail":"d"}"#
            )
            try await peer.close(4410, "revoked")
            try await peer.gone()
        }
        #expect(messages.count == 1)
        #expect(closed.advice == .later)
        #expect(closed.retryAfter == .milliseconds(1500))
        #expect(closed.detail == "d")
    }

    @Test("a closing message counts even where the close frame is lost")
    func closingAlone() async throws {
        let (_, closed) = try await transcript { peer in
            try await peer.send(#"{"type":"closing","code":4423,"reason":"blocked","reconnect":"never"}"#)
        }
        #expect(closed.cause == .gate)
        #expect(closed.code == 4423)
        #expect(closed.reason == "blocked")
        #expect(closed.advice == .never)
    }

    @Test("a dropped connection is a loss, to be made again")
    func dropped() async throws {
        let (_, closed) = try await transcript { try await $0.send("…") }
        #expect(closed.code == nil)
        #expect(closed.advice == .later)
        #expect(isCause(closed, "lost"))
    }

    @Test("a client that says goodbye waits no longer than it said for the answer")
    func unanswered() async throws {
        var options = GateConnection.Options()
        options.closeTimeout = .milliseconds(50)
        try await ScriptedServer.run { peer in
            try await peer.accept()
            try await peer.gone()
        } _: { [options] url in
            let connection = try await GateConnection.connect(to: url, credential: .none, options: options)
            let closed = try #require(await connection.close(code: 1000, reason: String(repeating: "ü", count: 100)))
            #expect(closed.cause == .client)
            #expect(closed.advice == .never)
            await #expect(throws: GateFailure.self) { try await connection.send(.text("late")) }
        }
    }

    @Test("what is sent is masked, each frame by its own key")
    func sending() async throws {
        let frames = AsyncStream.makeStream(of: Peer.Frame.self)
        try await ScriptedServer.run { peer in
            try await peer.accept()
            while true { frames.continuation.yield(try await peer.receive()) }
        } _: { url in
            let connection = try await GateConnection.connect(to: url, credential: .none)
            let data = try #require(RawJSON(#" {"b": 1.00, "a":[]} "#))
            let cases: [(ClientMessage, UInt8, String)] = [
                (
                    .join(resource: "doc:\"1\"", ref: RawJSON("7")), 0x81,
                    #"{"type":"join","resource":"doc:\"1\"","ref":7}"#
                ),
                (.leave(resource: "r"), 0x81, #"{"type":"leave","resource":"r"}"#),
                (
                    .publish(resource: "r", data: data), 0x81,
                    #"{"type":"publish","resource":"r","data":{"b": 1.00, "a":[]}}"#
                ),
                (.refresh(token: "t"), 0x81, #"{"type":"refresh","token":"t"}"#),
                (.authenticate(token: "t"), 0x81, #"{"type":"authenticate","token":"t"}"#),
                (.text("x"), 0x81, "x"), (.binary(Array("y".utf8)), 0x82, "y"),
                (.text(String(repeating: "z", count: 70_000)), 0x81, String(repeating: "z", count: 70_000)),
            ]
            var received = frames.stream.makeAsyncIterator()
            for (message, first, text) in cases {
                try await connection.send(message)
                let frame = await received.next()
                #expect(frame == Peer.Frame(first: first, isMasked: true, payload: Array(text.utf8)))
            }
            connection.startClosing(code: 1005)
            #expect(await received.next()?.payload == [0x03, 0xE8])
        }
    }

    @Test("a client that takes nothing makes the gate wait, and loses nothing")
    func backpressure() async throws {
        let (progress, continuation) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
        let count = 400
        try await ScriptedServer.run { peer in
            try await peer.accept(subprotocol: nil)
            for index in 0..<count {
                try await peer.send(0x82, Array(repeating: UInt8(truncatingIfNeeded: index), count: 256 << 10))
                continuation.yield(index)
            }
            try await peer.close(1000)
            continuation.finish()
            try await peer.gone()
        } _: { url in
            var options = GateConnection.Options()
            options.subprotocol = .raw
            let connection = try await GateConnection.connect(to: url, credential: .none, options: options)
            // The sockets' own buffers take a few megabytes, a hundred they do not: the gate stands still before its end.
            var steps = progress.makeAsyncIterator()
            _ = await steps.next()
            #expect(connection.closed == nil)
            var messages = connection.messages.makeAsyncIterator()
            for index in 0..<count {
                let bytes = Array(repeating: UInt8(truncatingIfNeeded: index), count: 256 << 10)
                #expect(await messages.next()?.payload == .binary(bytes))
            }
            #expect(await messages.next() == nil)
            #expect(connection.closed?.code == 1000)
        }
    }

    @Test("a cancelled reader gets nil, and the connection lives on")
    func cancelledReader() async throws {
        try await ScriptedServer.run { peer in
            try await peer.accept()
            _ = try await peer.receive()
            try await peer.send(#"{"type":"missed","resource":"r"}"#)
            try await peer.gone()
        } _: { url in
            let connection = try await GateConnection.connect(to: url, credential: .none)
            let reader = Task {
                var messages = connection.messages.makeAsyncIterator()
                return await messages.next()
            }
            let watcher = Task { await connection.end() }
            reader.cancel()
            watcher.cancel()
            #expect(await reader.value == nil)
            #expect(await watcher.value == nil)
            try await connection.send(.text("go on"))
            var messages = connection.messages.makeAsyncIterator()
            #expect(await messages.next()?.message == .missed(resource: "r"))
        }
    }

    @Test("a connection that nobody holds is closed")
    func released() async throws {
        let gone = AsyncStream.makeStream(of: Void.self)
        try await ScriptedServer.run { peer in
            try await peer.accept()
            try await peer.gone()
            gone.continuation.finish()
        } _: { url in
            _ = try await GateConnection.connect(to: url, credential: .none)
            for await _ in gone.stream {}
        }
    }
}

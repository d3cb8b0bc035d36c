import NIOCore
import NIOPosix
import NIOSSL
import PortcullisClient
import TestKit
import Testing

/// What becomes of a session whose gate does what no gate should.
@Suite("Misbehaving gates", .timeLimit(.minutes(5)))
struct MisbehaviourTests {
    private func words(
        options: GateConnection.Options = .init(),
        _ scripts: @escaping @Sendable (Peer) async throws -> Void
    ) async throws -> [String] {
        try await ScriptedServer.run(scripts) { url in
            var words: [String] = []
            let session = GateSession(url: url, credential: .token("t"), options: options, policy: .quick)
            for await event in session {
                switch event {
                case .connected(let welcome): words.append("connected \(welcome?.connection ?? "")")
                case .message(let received):
                    switch received.message {
                    case .welcome(let welcome): words.append("welcome \(welcome.connection)")
                    case .other(let type, _): words.append("other \(type ?? "–")")
                    case .notice: words.append("notice")
                    default: words.append("message")
                    }
                case .closed(.closed(let closed), _): words.append("\(closed.cause)".prefix { $0 != "(" } + "")
                case .closed(.failed(let failure), _): words.append("\(failure.kind)")
                case .gaveUp, .refreshFailed: words.append("gave up")
                }
            }
            return words
        }
    }

    private static let stop: @Sendable (Peer) async throws -> Void = { peer in
        try await peer.accept()
        try await peer.close(4423, "blocked")
        try await peer.gone()
    }

    @Test("a second welcome is a message, and no second connection")
    func duplicateWelcome() async throws {
        let words = try await words(
            Script.each { peer in
                try await peer.welcome()
                try await peer.send(#"{"type":"welcome","connection":"d","user":"mallory","permissions":{}}"#)
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        #expect(words == ["connected c", "welcome c", "welcome d", "gate", "gave up"])
    }

    @Test("broken JSON, unknown types and types without their fields are passed on as they came")
    func broken() async throws {
        let deep = String(repeating: "[", count: 100_000)
        let words = try await words(
            Script.each { peer in
                try await peer.welcome()
                for text in [
                    "{", "", "null", #"{"type":7}"#, #"{"type":"tomorrow","x":1}"#, #"{"type":"joined"}"#,
                    #"{"type":"closing","code":"x"}"#, deep, #"{"type":"message","resource":null}"#,
                ] { try await peer.send(text) }
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        #expect(
            words == [
                "connected c", "welcome c", "other –", "other –", "other –", "other –", "other tomorrow",
                "other joined", "other closing", "other –", "other message", "gate", "gave up",
            ]
        )
    }

    @Test("half a frame and then the end is a loss, and the session goes on")
    func truncated() async throws {
        let words = try await words(
            Script.each(
                { peer in
                    try await peer.welcome()
                    try await peer.write([0x81, 126, 1, 0] + Array(repeating: 0x20, count: 100))
                },
                { peer in
                    try await peer.accept()
                    try await peer.write([0x81])
                },
                { peer in
                    _ = try await peer.request()
                    try await peer.write("HTTP/1.1 101 Switching Proto")
                },
                Self.stop
            )
        )
        #expect(words == ["connected c", "welcome c", "lost", "lost", "unreachable", "gate", "gave up"])
    }

    @Test("a gate that breaks the WebSocket protocol is not come back to")
    func violation() async throws {
        let words = try await words(
            Script.each { peer in
                try await peer.welcome()
                try await peer.send(0x81, Array("{}".utf8), masked: true)
                try await peer.gone()
            }
        )
        #expect(words == ["connected c", "welcome c", "violation", "gave up"])
    }

    @Test("a gate that says nothing after 101 is left")
    func noWelcome() async throws {
        var options = GateConnection.Options()
        options.handshakeTimeout = .seconds(3)
        let words = try await words(
            options: options,
            Script.each(
                { peer in
                    try await peer.accept()
                    // Pings are no messages.
                    try await peer.send(0x89)
                    try await peer.gone()
                },
                Self.stop
            )
        )
        #expect(words == ["lost", "gate", "gave up"])
    }

    @Test("a half-open connection is noticed after two heartbeats, having been asked after one")
    func halfOpen() async throws {
        let words = try await words(
            Script.each(
                { peer in
                    try await peer.welcome(heartbeat: 0.2)
                    #expect(try await peer.receive().first == 0x89)
                    try await peer.gone()
                },
                Self.stop
            )
        )
        #expect(words == ["connected c", "welcome c", "lost", "gate", "gave up"])
    }

    @Test("a gate that only answers pings is there")
    func answersOnly() async throws {
        let words = try await words(
            Script.each { peer in
                try await peer.welcome(heartbeat: 3)
                for _ in 0..<3 {
                    let ping = try await peer.receive()
                    #expect(ping.first == 0x89)
                    try await peer.send(0x8A, ping.payload)
                }
                try await peer.send(#"{"type":"notice","data":1}"#)
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        #expect(words == ["connected c", "welcome c", "notice", "gate", "gave up"])
    }

    @Test("heartbeats that are none are not believed", arguments: ["0", "-1", "1e-9", "1e400", "\"x\"", "null"])
    func absurdHeartbeat(text: String) async throws {
        let words = try await words(
            Script.each { peer in
                try await peer.accept()
                try await peer.send(
                    #"{"type":"welcome","connection":"c","user":"u","permissions":{},"heartbeat_s":\#(text)}"#
                )
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        #expect(words.last == "gave up" && words.contains("gate"))
    }

    @Test("while nobody takes what has come, silence is not the gate's")
    func pausedReader() async throws {
        var options = GateConnection.Options()
        options.inboundBuffer = 1
        try await ScriptedServer.run { peer in
            let request = try await peer.request()
            // In one segment, so that the client knows of the heartbeat in the moment in which it stops to read.
            let welcome =
                #"{"type":"welcome","connection":"c","user":"u","permissions":{},"heartbeat_s":0.1}"#
            let frames = Peer.frame(0x81, Array(welcome.utf8))
            try await peer.write(Array(Peer.acceptance(of: request).utf8) + frames)
            #expect(try await peer.receive().first == 0x88)
        } _: { [options] url in
            let connection = try await GateConnection.connect(to: url, credential: .none, options: options)
            // Ten times what would be too long: there is no event for what must not happen.
            #expect(await Self.ends(connection, within: .seconds(2)) == false)
            connection.startClosing()
        }
    }

    private static func ends(_ connection: GateConnection, within time: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await connection.end() != nil }
            group.addTask {
                try? await Task.sleep(for: time)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    @Test("a wait of centuries is a day, and close ends it", arguments: ["1e300", "9223372036854775807", "1e17"])
    func hugeRetry(milliseconds: String) async throws {
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.send(
                #"{"type":"closing","code":1001,"reason":"x","reconnect":"later","retry_after_ms":\#(milliseconds)}"#
            )
            try await peer.close(1001, "x")
            try await peer.gone()
        } _: { url in
            let session = GateSession(url: url, credential: .token("t"))
            for await event in session {
                guard case .closed(_, next: .retry(let after)) = event else { continue }
                #expect(after >= .seconds(86_400) && after <= .seconds(108_000))
                session.close()
            }
        }
    }

    @Test("a flood is read no faster than it is taken, and nothing of it is lost")
    func flood() async throws {
        var options = GateConnection.Options()
        options.inboundBuffer = 4096
        let words = try await words(
            options: options,
            Script.each { peer in
                try await peer.welcome()
                for _ in 0..<5000 { try await peer.send(#"{"type":"notice","data":"0123456789"}"#) }
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        #expect(words.count { $0 == "notice" } == 5000)
        #expect(words.last == "gave up")
    }
}

@Suite("TLS", .timeLimit(.minutes(5)))
struct TLSTests {
    /// A gate behind TLS, as far as a client can tell before it is closed.
    private func connect(
        _ server: Certificates.Server,
        host: String = "127.0.0.1",
        trusted: Bool = true
    ) async throws
        -> Result<Closed?, GateFailure>
    {
        let certificates = try Certificates()
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.certificate(server)).map {
                .certificate($0)
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.key(server), format: .pem))
        )
        let context = try NIOSSLContext(configuration: configuration)
        return try await ScriptedServer.run(tls: context) { peer in
            try await peer.welcome()
            try await peer.close(4423, "blocked")
            try await peer.gone()
        } _: { url in
            var options = GateConnection.Options()
            if trusted { options.trustedRoots = certificates.authority }
            do throws(GateFailure) {
                let url = try GateURL("wss://\(host):\(url.port)/ws")
                let connection = try await GateConnection.connect(to: url, credential: .token("t"), options: options)
                return .success(await connection.end())
            } catch {
                return .failure(error)
            }
        }
    }

    @Test("a gate whose certificate is trusted and names it")
    func good() async throws {
        #expect(try await connect(.good).get()?.code == 4423)
    }

    @Test("another name, another authority, yesterday's certificate: no byte of the handshake is sent")
    func refused() async throws {
        let words = [(Certificates.Server.elsewhere, "name"), (.expired, "expired"), (.stranger, "authority")]
        for (server, word) in words {
            guard case .failure(let failure) = try await connect(server) else {
                throw Script.Unexpected("\(server)")
            }
            #expect(failure.kind == .insecure && failure.detail.contains(word), "\(server): \(failure)")
            #expect(Ending.failed(failure).advice == .never)
        }
        guard case .failure(let failure) = try await connect(.good, trusted: false) else {
            throw Script.Unexpected("")
        }
        #expect(failure.kind == .insecure)
    }

    private static func trusting(_ file: String) -> GateConnection.Options {
        var options = GateConnection.Options()
        options.trustedRoots = file
        return options
    }

    @Test("a server without TLS, and a file without certificates")
    func none() async throws {
        try await ScriptedServer.run { peer in
            try await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")
            try await peer.gone()
        } _: { url in
            let secure = try GateURL("wss://127.0.0.1:\(url.port)/ws")
            let error = await #expect(throws: GateFailure.self) {
                _ = try await GateConnection.connect(to: secure, credential: .token("t"))
            }
            #expect(error?.kind == .insecure && error?.detail.contains("ws://") == true)
            let options = Self.trusting("/nowhere.pem")
            let missing = await #expect(throws: GateFailure.self) {
                _ = try await GateConnection.connect(to: secure, credential: .token("t"), options: options)
            }
            #expect(missing?.kind == .insecure)
        }
    }
}

import PortcullisClient
import Testing

@Suite("Session", .timeLimit(.minutes(5)))
struct SessionTests {
    private static let welcome = Script.welcome
    private static let quick = ReconnectPolicy(base: .milliseconds(1), cap: .milliseconds(2))

    /// An event in a word.
    private static func word(_ event: GateSession.Event) -> String {
        switch event {
        case .connected(let welcome): "connected \(welcome?.user ?? "raw")"
        case .message: "message"
        case .refreshFailed(let failure): "refresh failed \(failure.kind)"
        case .closed(let ending, let next):
            switch next {
            case .stop: "closed \(code(ending)): stop"
            case .reauthenticate: "closed \(code(ending)): reauthenticate"
            case .retry: "closed \(code(ending)): retry"
            }
        case .gaveUp(let ending): "gave up \(code(ending))"
        }
    }

    private static func code(_ ending: Ending) -> String {
        switch ending {
        case .closed(let closed): closed.code.map(String.init) ?? "lost"
        case .failed(let failure): failure.refusal.map { String($0.status) } ?? failure.kind.description
        }
    }

    @Test("a session lives through a restart, a loss and a refusal, and stops where it is told to")
    func life() async throws {
        let script = Script.each(
            { peer in
                try await peer.accept()
                try await peer.send(Self.welcome)
                try await peer.send(#"{"type":"notice","data":1}"#)
                try await peer.close(1001, "shutting_down")
                try await peer.gone()
            },
            { peer in
                _ = try await peer.request()
                try await peer.write("HTTP/1.1 503 Draining\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
                try await peer.gone()
            },
            { peer in
                try await peer.accept()
                try await peer.send(Self.welcome)
            },
            { peer in
                try await peer.accept()
                try await peer.close(4410, "revoked")
                try await peer.gone()
            }
        )
        let events = try await ScriptedServer.run(script) { url in
            var events: [String] = []
            for await event in GateSession(url: url, credential: .token("t"), policy: Self.quick) {
                events.append(Self.word(event))
            }
            return events
        }
        #expect(
            events == [
                "connected u", "message", "message", "closed 1001: retry", "closed 503: retry", "connected u",
                "message",
                "closed lost: retry", "closed 4410: stop", "gave up 4410",
            ]
        )
    }

    @Test("a fresh credential is asked for and used; without one it is over")
    func reauthentication() async throws {
        let tokens = AsyncStream.makeStream(of: String.self)
        let script: @Sendable (Peer) async throws -> Void = { peer in
            let request = try await peer.accept(subprotocol: nil)
            tokens.continuation.yield(request.contains("Bearer fresh") ? "fresh" : "stale")
            try await peer.close(4401, "expired")
            try await peer.gone()
        }
        let asked = Script.Counter()
        let events = try await ScriptedServer.run(script) { url in
            var options = GateConnection.Options()
            options.subprotocol = .raw
            let session = GateSession(url: url, credential: .token("stale"), options: options, policy: Self.quick) {
                _ in
                asked.next() == 0 ? .token("fresh") : nil
            }
            var events: [String] = []
            for await event in session { events.append(Self.word(event)) }
            return events
        }
        #expect(
            events == [
                "connected raw", "closed 4401: reauthenticate", "connected raw", "closed 4401: reauthenticate",
                "gave up 4401",
            ]
        )
        var seen = tokens.stream.makeAsyncIterator()
        #expect(await seen.next() == "stale")
        #expect(await seen.next() == "fresh")
    }

    @Test("a ticket is not tried twice")
    func ticket() async throws {
        let script = Script.each({ peer in
            try await peer.accept()
            try await peer.send(Self.welcome)
        })
        let events = try await ScriptedServer.run(script) { url in
            var events: [String] = []
            for await event in GateSession(url: url, credential: .ticket("t"), policy: Self.quick) {
                events.append(Self.word(event))
            }
            return events
        }
        #expect(events == ["connected u", "message", "closed lost: stop", "gave up lost"])
    }

    @Test("close says goodbye, and the sequence ends with it")
    func close() async throws {
        let script = Script.each({ peer in
            try await peer.accept()
            try await peer.send(Self.welcome)
            _ = try await peer.receive()
            try await peer.close(1000, "bye")
            try await peer.gone()
        })
        try await ScriptedServer.run(script) { url in
            let session = GateSession(url: url, credential: .token("t"))
            var events: [String] = []
            for await event in session {
                events.append(Self.word(event))
                if case .message = event { session.close() }
            }
            #expect(events == ["connected u", "message", "closed 1000: stop"])
            await #expect(throws: GateFailure.self) { try await session.send(.text("late")) }
        }
    }

    @Test("close ends a wait and an attempt, and a cancellation does, too")
    func interruption() async throws {
        try await ScriptedServer.run { peer in
            _ = try await peer.request()
            try await peer.write("HTTP/1.1 503 Full\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")
            try await peer.gone()
        } _: { url in
            let closed = GateSession(url: url, credential: .none)
            for await _ in closed { closed.close() }

            let cancelled = GateSession(url: url, credential: .none)
            let (events, continuation) = AsyncStream.makeStream(of: Void.self)
            let task = Task { for await _ in cancelled { continuation.yield() } }
            var seen = events.makeAsyncIterator()
            _ = await seen.next()
            task.cancel()
            await task.value
        }
    }
}

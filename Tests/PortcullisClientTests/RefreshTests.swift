import PortcullisClient
import Synchronization
import Testing

@Suite("Automatic refresh", .timeLimit(.minutes(5)))
struct RefreshTests {
    private static let expiring = #"{"type":"expiring","expires_at":1.5,"in_s":30}"#
    private static let demand = #"{"type":"reauthenticate","deadline_s":10,"reason":"password_changed"}"#
    private static let refreshed = #"{"type":"refreshed","expires_at":99,"permissions":{}}"#

    private struct Oops: Error {}

    /// What the application was asked for, and what it gives in turn; nil thereafter.
    private final class Source: Sendable {
        private let state: Mutex<(asked: [String], answers: [@Sendable () async throws -> GateCredential?])>

        init(_ answers: (@Sendable () async throws -> GateCredential?)...) {
            state = Mutex(([], answers))
        }

        var asked: [String] {
            state.withLock(\.asked)
        }

        @Sendable func give(_ request: CredentialRequest) async throws -> GateCredential? {
            let answer = state.withLock { state -> (@Sendable () async throws -> GateCredential?)? in
                switch request {
                case .expiring(let seconds): state.asked.append("expiring \(seconds ?? 0)")
                case .reauthenticate(let deadline, let reason):
                    state.asked.append("reauthenticate \(deadline ?? 0) \(reason ?? "")")
                case .reconnect: state.asked.append("reconnect")
                }
                return state.answers.isEmpty ? nil : state.answers.removeFirst()
            }
            return try await answer?()
        }
    }

    private func events(_ url: GateURL, _ source: Source) async -> [String] {
        var words: [String] = []
        let session = GateSession(url: url, credential: .token("old"), policy: .quick, credentials: source.give)
        for await event in session {
            switch event {
            case .refreshFailed(let failure): words.append("failed \(failure.error?.code ?? failure.kind.description)")
            case .message(let received):
                if case .refreshed = received.message { words.append("refreshed") }
            case .closed(let ending, _): words.append("closed \(ending.advice.rawValue)")
            case .connected: words.append("connected")
            case .gaveUp: words.append("gave up")
            }
        }
        return words
    }

    @Test("an expiry is met with a fresh token, which the next connection has, too")
    func success() async throws {
        let requests = Mutex<[String]>([])
        let script = Script.each(
            { peer in
                try await peer.welcome()
                // Said twice, asked once.
                try await peer.send(Self.expiring)
                try await peer.send(Self.expiring)
                let refresh = try await peer.expect("refresh")
                #expect(refresh["token"]?.string == "new")
                try await peer.send(Self.refreshed)
                try await peer.send(Self.demand)
                let second = try await peer.expect("refresh")
                #expect(second["token"]?.string == "newer")
                try await peer.send(Self.refreshed)
                try await peer.close(1001, "shutting_down")
                try await peer.gone()
            },
            { peer in
                let request = try await peer.accept()
                requests.withLock { $0.append(request) }
                try await peer.close(4410, "revoked")
                try await peer.gone()
            }
        )
        let source = Source({ .token("new") }, { .token("newer") })
        let words = try await ScriptedServer.run(script) { await events($0, source) }
        #expect(words == ["connected", "refreshed", "refreshed", "closed later", "closed never", "gave up"])
        #expect(source.asked == ["expiring 30.0", "reauthenticate 10.0 password_changed"])
        #expect(requests.withLock { $0.first?.contains("Bearer newer\r\n") } == true)
    }

    @Test("a source that throws or has nothing leads to the gate's closing, then to its advice")
    func failing() async throws {
        let failed = AsyncStream.makeStream(of: Void.self)
        let script = Script.each(
            { peer in
                try await peer.welcome()
                try await peer.send(Self.expiring)
                var failures = failed.stream.makeAsyncIterator()
                _ = await failures.next()
                try await peer.send(Self.demand)
                _ = await failures.next()
                try await peer.send(
                    #"{"type":"closing","code":4401,"reason":"expired","reconnect":"reauthenticate"}"#
                )
                try await peer.close(4401, "expired")
                try await peer.gone()
            },
            { peer in
                let request = try await peer.accept()
                #expect(request.contains("Bearer third\r\n"))
                try await peer.close(4423, "blocked")
                try await peer.gone()
            }
        )
        let source = Source(
            {
                defer { failed.continuation.yield() }
                throw Oops()
            },
            {
                defer { failed.continuation.yield() }
                return nil
            },
            { .token("third") }
        )
        let words = try await ScriptedServer.run(script) { await events($0, source) }
        #expect(words.filter { $0 == "failed no_credential" }.count == 2)
        #expect(words.suffix(3) == ["closed reauthenticate", "closed never", "gave up"])
        #expect(source.asked.last == "reconnect" && source.asked.count == 3)
    }

    @Test("a gate that takes no refresh is a failure with its code, and is not asked again by itself")
    func rejected() async throws {
        let script = Script.each({ peer in
            try await peer.welcome()
            try await peer.send(Self.expiring)
            try await peer.expect("refresh")
            try await peer.send(#"{"type":"error","code":"unavailable","detail":"not yet"}"#)
            try await peer.send(#"{"type":"error","code":"unavailable","detail":"of nobody"}"#)
            try await peer.close(4410, "session_ended")
            try await peer.gone()
        })
        let source = Source({ .token("new") })
        let words = try await ScriptedServer.run(script) { await events($0, source) }
        #expect(words == ["connected", "failed unavailable", "closed never", "gave up"])
        #expect(source.asked == ["expiring 30.0"])
    }

    @Test("a source that is slower than the gate is not called twice: what it brings serves the next connection")
    func slow() async throws {
        let ended = AsyncStream.makeStream(of: Void.self)
        let script = Script.each(
            { peer in
                try await peer.welcome()
                try await peer.send(Self.expiring)
                try await peer.close(4401, "expired")
                try await peer.gone()
                ended.continuation.yield()
            },
            { peer in
                let request = try await peer.accept()
                #expect(request.contains("Bearer slow\r\n"))
                try await peer.close(4410, "revoked")
                try await peer.gone()
            }
        )
        let isRunning = Mutex(false)
        let source = Source(
            {
                isRunning.withLock { $0 = true }
                defer { isRunning.withLock { $0 = false } }
                var gone = ended.stream.makeAsyncIterator()
                _ = await gone.next()
                return .token("slow")
            },
            {
                // The first may come back just before the end is noticed: then it was too late, but it is over.
                #expect(isRunning.withLock { !$0 })
                return .token("slow")
            }
        )
        let words = try await ScriptedServer.run(script) { await events($0, source) }
        #expect(words == ["connected", "closed reauthenticate", "closed never", "gave up"])
        #expect(source.asked.first == "expiring 30.0")
        #expect(source.asked.count <= 2)
    }

    @Test("a source that never comes back does not hold up close")
    func hanging() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        let released = AsyncStream.makeStream(of: Void.self)
        let script = Script.each({ peer in
            try await peer.welcome()
            try await peer.close(4401, "expired")
            try await peer.gone()
        })
        try await ScriptedServer.run(script) { url in
            let session = GateSession(url: url, credential: .token("t"), policy: .quick) { _ in
                asked.continuation.yield()
                // Deaf to cancellation.
                await Task.detached { for await _ in released.stream {} }.value
                return nil
            }
            let reader = Task { for await _ in session {} }
            var questions = asked.stream.makeAsyncIterator()
            _ = await questions.next()
            session.close()
            await reader.value
            released.continuation.finish()
        }
    }
}

import Glibc
import PortcullisReactor
import TestKit
import Testing

/// Streams under TLS: the engine on both sides, and the blocking socket against it.
@Suite struct TLSTests {
    let certificates: Certificates

    init() throws {
        certificates = try Certificates()
    }

    private func connect(_ engine: EngineUnderTest, _ endpoint: Endpoint, _ tls: TLSClient, _ bytes: [UInt8] = []) async
    {
        await engine.run { engine in
            guard let stream = try? engine.connect(to: endpoint, securedBy: tls) else { return }
            // Before it stands: what is sent waits for the handshake.
            engine.send(stream, bytes)
        }
    }

    @Test(arguments: ["redis.test", "127.0.0.1"])
    func echo(_ name: String) async throws {
        let server = try EngineUnderTest(tls: try certificates.server(), EngineUnderTest.echo)
        let client = try EngineUnderTest { engine, stream, told, bytes in
            if told == .received, bytes.last == 3 { engine.finish(stream) }
        }
        await connect(client, server.endpoint, try certificates.client(name), [1, 2, 3])
        // The peer's goodbye ends the stream on each side in turn, and no descriptor's end is taken for it.
        #expect(server.transcript.wait(for: .gone(.ended)))
        #expect(client.transcript.wait(for: .gone(.ended)))
        let stream = try #require(client.transcript.streams(.connected).first)
        #expect(client.transcript.received(stream) == [1, 2, 3])
        #expect(client.transcript.all(stream).first == .connected)
        client.stop()
        server.stop()
    }

    struct Refusal: Sendable {
        let server: Certificates.Server
        let name: String
        let kind: TLSFailure.Kind
    }

    @Test(arguments: [
        Refusal(server: .stranger, name: "redis.test", kind: .unknownAuthority),
        Refusal(server: .expired, name: "redis.test", kind: .expired),
        Refusal(server: .elsewhere, name: "redis.test", kind: .wrongName),
        Refusal(server: .elsewhere, name: "127.0.0.1", kind: .wrongName),
        Refusal(server: .good, name: "127.0.0.2", kind: .wrongName),
        Refusal(server: .good, name: "a.redis.test", kind: .wrongName),
    ])
    func refusesTheServer(_ refusal: Refusal) async throws {
        let server = try EngineUnderTest(tls: try certificates.server(refusal.server), EngineUnderTest.echo)
        let client = try EngineUnderTest { _, _, _, _ in }
        let tls = try certificates.client(refusal.name)
        await connect(client, server.endpoint, tls, [1])
        let failure = TLSFailure(refusal.kind, peer: refusal.name)
        #expect(client.transcript.wait(for: .gone(.insecure(failure))))
        #expect(client.transcript.streams(.connected).isEmpty)
        #expect(throws: SocketError("secure the connection to \(server.endpoint)", errno: EPROTO, security: failure)) {
            try server.peer(tls)
        }
        // Nothing was said to a server that is not the right one.
        for stream in server.transcript.streams(.accepted) { #expect(server.transcript.received(stream).isEmpty) }
        client.stop()
        server.stop()
    }

    @Test func thePeerSpeaksNoTLS() async throws {
        let server = try EngineUnderTest { engine, stream, told, _ in
            if told == .received { engine.send(stream, Array("-ERR what is this?\r\n".utf8)) }
        }
        let tls = try certificates.client()
        #expect {
            try server.peer(tls)
        } throws: {
            ($0 as? SocketError)?.security == TLSFailure(.notTLS, peer: "redis.test")
        }
        server.stop()
        let silent = try EngineUnderTest { engine, stream, told, _ in
            if told == .received { engine.finish(stream) }
        }
        #expect {
            try silent.peer(tls)
        } throws: {
            ($0 as? SocketError)?.security == TLSFailure(.ended, peer: "redis.test")
        }
        silent.stop()
    }

    /// A client without TLS knocks: nothing of it comes through, and the engine goes on.
    @Test func aPlainClient() async throws {
        let server = try EngineUnderTest(tls: try certificates.server(), EngineUnderTest.echo)
        let plain = try server.peer()
        try plain.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(server.transcript.wait { $0.contains { $0.1.isGone } })
        let stream = try #require(server.transcript.streams(.accepted).first)
        #expect(server.transcript.received(stream).isEmpty)
        let good = try server.peer(try certificates.client())
        try good.write([7])
        #expect(try good.read() == [7])
        server.stop()
    }

    /// More than the sockets hold, in both directions at once, in buffers of all sizes: every byte arrives, once, in order.
    @Test func muchMoreThanTheSocketsHold() async throws {
        let server = try EngineUnderTest(tls: try certificates.server(), EngineUnderTest.echo)
        let total = 12 << 20
        let bytes = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 13) }
        let client = try EngineUnderTest { _, _, _, _ in }
        let (endpoint, tls) = (server.endpoint, try certificates.client())
        await client.run { engine in
            guard let stream = try? engine.connect(to: endpoint, securedBy: tls) else { return }
            var at = 0
            var size = 1
            while at < bytes.count {
                engine.send(stream, Array(bytes[at..<min(at + size, bytes.count)]))
                at += size
                size = size * 7 % 65_537 + 1
            }
            engine.finish(stream)
        }
        #expect(client.transcript.wait { told in told.contains { $0.1 == .connected } })
        let stream = try #require(client.transcript.streams(.connected).first)
        #expect(server.transcript.wait(for: .gone(.ended)))
        #expect(client.transcript.wait { told in told.contains { $0.1.isGone } })
        // The server's answers to the last bytes may not be through: it saw the end. What it received is all.
        let accepted = try #require(server.transcript.streams(.accepted).first)
        #expect(server.transcript.received(accepted) == bytes)
        #expect(bytes.starts(with: client.transcript.received(stream)))
        client.stop()
        server.stop()
    }

    /// A buffer that TLS has begun to write is not dropped: what comes behind it arrives whole.
    @Test func droppingTheQueue() async throws {
        // Small ones: the socket is full at the beginning of one of them, which has then begun though no byte of it was taken.
        let (first, last) = ([UInt8](repeating: 1, count: 1000), [UInt8](repeating: 2, count: 10))
        let server = try EngineUnderTest(tls: try certificates.server()) { engine, stream, told, _ in
            guard told == .received else { return }
            while engine.queued(stream) < 100 * first.count { engine.send(stream, first) }
            engine.dropQueue(stream)
            engine.send(stream, last)
            engine.finish(stream)
        }
        let peer = try server.peer(try certificates.client())
        try peer.write([0])
        let all = try peer.readToEnd()
        #expect(all.count % first.count == last.count)
        #expect(all.dropLast(last.count).allSatisfy { $0 == 1 })
        #expect(all.suffix(last.count).elementsEqual(last))
        server.stop()
    }

    @Test func finishedWhileSecuring() async throws {
        let server = try EngineUnderTest(tls: try certificates.server()) { _, _, _, _ in }
        let client = try EngineUnderTest { _, _, _, _ in }
        let (endpoint, tls) = (server.endpoint, try certificates.client())
        await client.run { engine in
            guard let stream = try? engine.connect(to: endpoint, securedBy: tls) else { return }
            engine.send(stream, [1, 2])
            engine.finish(stream)
        }
        #expect(server.transcript.wait(for: .gone(.ended)))
        let stream = try #require(server.transcript.streams(.accepted).first)
        #expect(server.transcript.received(stream) == [1, 2])
        client.stop()
        server.stop()
    }

    /// A peer that goes away in the middle of a write is an error of this stream: no signal ends the process.
    @Test func thePeerIsGone() async throws {
        let server = try EngineUnderTest(tls: try certificates.server()) { engine, stream, told, _ in
            if told == .received { engine.close(stream) }
        }
        let peer = try server.peer(try certificates.client())
        try peer.write([1])
        #expect(server.transcript.wait(for: .gone(.closed)))
        #expect(throws: SocketError.self) {
            for _ in 0..<1000 { try peer.write([UInt8](repeating: 0, count: 64 << 10)) }
        }
        server.stop()
    }

    /// A stream that may not be read any more in the middle of a record goes on behind it, though nothing more comes to say so.
    @Test(arguments: [true, false]) func stoppedWithinARecord(byItsOwner: Bool) async throws {
        let server = try EngineUnderTest(tls: try certificates.server()) { engine, stream, told, bytes in
            guard told == .received, bytes.last != 1 else { return }
            if byItsOwner { return engine.pauseReading(stream) }
            engine.govern(stream)
            engine.serve(until: .min)
        }
        let peer = try server.peer(try certificates.client())
        // The kernel gives a socket room for as much as it has seen pass.
        for _ in 0..<64 { try peer.write([UInt8](repeating: 1, count: 128 << 10)) }
        try peer.write([0])
        #expect(server.transcript.wait { $0.count > 0 })
        let stream = try #require(server.transcript.streams(.accepted).first)
        func received() -> Int { server.transcript.received(stream).count - (8 << 20) - 1 }
        func turn(until isDone: () -> Bool) async {
            for _ in 0..<200_000 where !isDone() { await server.run { _ in } }
        }
        await turn { received() >= 0 }
        // Seven records; the engine's buffer ends within the last, and nothing of it is left in the socket once all have come, of which
        // no event tells: the stream is not read.
        for _ in 0..<7 { try peer.write([UInt8](repeating: 9, count: 10_000)) }
        try await Task.sleep(for: .milliseconds(300))
        for _ in 0..<7 where received() < 70_000 {
            let before = received()
            for _ in 0..<3 { await server.run { _ in } }
            #expect(received() == before)
            await server.run { byItsOwner ? $0.resumeReading(stream) : $0.serve(until: .max) }
            await turn { received() > before }
            #expect(received() > before)
        }
        #expect(received() == 70_000)
        server.stop()
    }

    @Test func filesThatAreNone() throws {
        #expect { try TLSContext(authorities: "/nowhere.pem") } throws: {
            "\($0)" == "/nowhere.pem can't be used: No such file or directory."
        }
        #expect { try TLSContext(authorities: certificates.key(.good)) } throws: { "\($0)".contains("can't be used: ") }
        #expect {
            try TLSContext(certificate: certificates.certificate(.good), key: certificates.key(.elsewhere))
        } throws: { "\($0)".contains("can't be used: ") }
    }
}

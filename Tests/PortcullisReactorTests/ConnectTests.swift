import Glibc
import PortcullisReactor
import Testing

/// Connections that an engine makes itself.
@Suite struct ConnectTests {
    enum Attempt: Equatable {
        case begun(StreamID)
        case failed(Int32)
    }

    func connect(_ engine: EngineUnderTest, _ endpoint: Endpoint, sending bytes: [UInt8] = []) async -> Attempt {
        await engine.run { engine in
            do throws(SocketError) {
                let stream = try engine.connect(to: endpoint)
                engine.send(stream, bytes)
                return .begun(stream)
            } catch {
                return .failed(error.errno)
            }
        }
    }

    @Test func connects() async throws {
        let server = try EngineUnderTest(EngineUnderTest.echo)
        let client = try EngineUnderTest { engine, stream, told, _ in
            if told == .connected { engine.send(stream, [1, 2, 3]) }
            if told == .received { engine.close(stream) }
        }
        let attempt = await connect(client, server.endpoint)
        #expect(client.transcript.wait(for: .gone(.closed)))
        let stream = try #require(client.transcript.streams(.connected).first)
        #expect(attempt == .begun(stream))
        #expect(client.transcript.received(stream) == [1, 2, 3])
        #expect(client.transcript.all(stream) == [.connected, .received, .gone(.closed)])
        // A link is no client.
        #expect(await client.run(\.clientCount) == 0)
        client.stop()
        #expect(server.transcript.wait(for: .gone(.ended)))
        server.stop()
    }

    /// What is sent before the connection stands goes out when it does.
    @Test func sentWhileConnecting() async throws {
        let server = try EngineUnderTest(EngineUnderTest.echo)
        let client = try EngineUnderTest { _, _, _, _ in }
        let attempt = await connect(client, server.endpoint, sending: [4, 5])
        #expect(client.transcript.wait(for: .received))
        guard case .begun(let stream) = attempt else {
            Issue.record("\(attempt)")
            return
        }
        #expect(client.transcript.received(stream) == [4, 5])
        client.stop()
        server.stop()
    }

    @Test func finishedWhileConnecting() async throws {
        let server = try EngineUnderTest { _, _, _, _ in }
        let client = try EngineUnderTest { _, _, _, _ in }
        let endpoint = server.endpoint
        await client.run { engine in
            for bytes in [[], [1, 2]] as [[UInt8]] {
                guard let stream = try? engine.connect(to: endpoint) else { continue }
                engine.send(stream, bytes)
                engine.finish(stream)
            }
        }
        #expect(server.transcript.wait(for: .gone(.ended), times: 2))
        #expect(client.transcript.wait(for: .gone(.ended), times: 2))
        let received = server.transcript.streams(.accepted).map { server.transcript.received($0) }
        #expect(Set(received) == [[], [1, 2]])
        client.stop()
        server.stop()
    }

    @Test func refused() async throws {
        var gone: ListeningSocket? = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0))
        let endpoint = try #require(gone?.endpoint)
        gone = nil
        let client = try EngineUnderTest { _, _, _, _ in }
        defer { client.stop() }
        switch await connect(client, endpoint) {
        case .failed(let number): #expect(number == ECONNREFUSED)
        case .begun(let stream):
            #expect(client.transcript.wait(for: .gone(.failed(ECONNREFUSED))))
            #expect(client.transcript.all(stream) == [.gone(.failed(ECONNREFUSED))])
        }
        #expect(gone == nil)
    }

    @Test func addressesThatAreNone() async throws {
        let client = try EngineUnderTest { _, _, _, _ in }
        defer { client.stop() }
        #expect(await connect(client, .tcp(address: "localhost", port: 1)) == .failed(EINVAL))
        #expect(await connect(client, .tcp(address: "1:2:", port: 1)) == .failed(EINVAL))
        let long = "/" + String(repeating: "x", count: 108)
        #expect(await connect(client, .unix(path: long)) == .failed(ENAMETOOLONG))
        #expect(await connect(client, .unix(path: "/a\u{0}b")) == .failed(ENAMETOOLONG))
        #expect(await connect(client, .unix(path: "/nowhere/at/all")) == .failed(ENOENT))
    }

    @Test func closedWhileConnecting() async throws {
        let server = try EngineUnderTest { _, _, _, _ in }
        let client = try EngineUnderTest { _, _, _, _ in }
        let endpoint = server.endpoint
        let stream = await client.run { engine -> StreamID? in
            guard let stream = try? engine.connect(to: endpoint) else { return nil }
            engine.close(stream)
            return stream
        }
        #expect(client.transcript.wait(for: .gone(.closed)))
        client.stop()
        server.stop()
        #expect(client.transcript.all(try #require(stream)) == [.gone(.closed)])
    }
}

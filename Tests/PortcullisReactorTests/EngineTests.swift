import PortcullisReactor
import Testing

/// A real engine and real sockets on 127.0.0.1.
@Suite struct EngineTests {
    @Test func echo() throws {
        let engine = try EngineUnderTest(EngineUnderTest.echo)
        defer { engine.stop() }
        let peer = try engine.peer()
        for text in ["hello", "", "a longer line", "\u{0}"] where !text.isEmpty {
            try peer.write(Array(text.utf8))
            #expect(try peer.read(count: text.utf8.count) == Array(text.utf8))
        }
    }

    @Test func thePeerEnds() throws {
        let engine = try EngineUnderTest { _, _, _, _ in }
        var peer: BlockingSocket? = try engine.peer()
        try peer?.write([1, 2, 3])
        #expect(engine.transcript.wait(for: .received))
        peer = nil
        #expect(engine.transcript.wait(for: .gone(.ended)))
        engine.stop()
        let stream = try #require(engine.transcript.streams(.accepted).first)
        #expect(engine.transcript.all(stream) == [.accepted, .received, .gone(.ended)])
        #expect(engine.transcript.received(stream) == [1, 2, 3])
    }

    /// The end of writing comes behind the last byte, and the stream still reads until the peer ends it.
    @Test func halfClose() throws {
        let big = [UInt8](repeating: 7, count: 4 << 20)
        let engine = try EngineUnderTest { engine, stream, told, _ in
            guard told == .accepted else { return }
            engine.send(stream, big)
            engine.finish(stream)
            engine.send(stream, [8])
            engine.finish(stream)
        }
        var peer: BlockingSocket? = try engine.peer()
        #expect(try peer?.readToEnd() == big)
        try peer?.write([9])
        #expect(engine.transcript.wait(for: .received))
        peer = nil
        #expect(engine.transcript.wait(for: .gone(.ended)))
        engine.stop()
        let stream = try #require(engine.transcript.streams(.accepted).first)
        #expect(engine.transcript.received(stream) == [9])
        #expect(engine.transcript.all(stream).count(where: \.isGone) == 1)
    }

    @Test func finishingWhereNothingWaits() throws {
        let engine = try EngineUnderTest { engine, stream, told, _ in
            if told == .accepted { engine.finish(stream) }
        }
        defer { engine.stop() }
        #expect(try engine.peer().read() == [])
    }

    /// More than the kernel takes waits, keeps its order, and is told to be through once.
    @Test func backpressure() async throws {
        let buffers = (0..<600).map { number in [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 50_001) }
        let all = buffers.reduce(into: [UInt8]()) { $0 += $1 }
        let engine = try EngineUnderTest { engine, stream, told, _ in
            if told == .received { for buffer in buffers { engine.send(stream, buffer) } }
        }
        let peer = try engine.peer()
        try peer.write([1])
        #expect(engine.transcript.wait(for: .received))
        let stream = try #require(engine.transcript.streams(.accepted).first)
        // The peer has not read yet, and no kernel holds thirty megabytes for it.
        #expect(await engine.run { $0.queued(stream) } > 0)
        #expect(try peer.read(count: all.count) == all)
        #expect(engine.transcript.wait(for: .drained))
        #expect(await engine.run { $0.queued(stream) } == 0)
        try peer.write([1])
        #expect(try peer.read(count: all.count) == all)
        #expect(engine.transcript.wait(for: .drained, times: 2))
        engine.stop()
        #expect(engine.transcript.streams(.drained).count == 2)
    }

    /// What has begun is written to its end, or the peer would see half a frame; the rest is dropped.
    @Test func aDroppedQueue() throws {
        let first = [UInt8](repeating: 1, count: 32 << 20)
        let engine = try EngineUnderTest { engine, stream, told, _ in
            guard told == .accepted else { return }
            engine.send(stream, first)
            for _ in 0..<10 { engine.send(stream, [2, 2, 2]) }
            engine.dropQueue(stream)
            engine.send(stream, [3])
            engine.finish(stream)
        }
        defer { engine.stop() }
        #expect(try engine.peer().readToEnd() == first + [3])
    }

    @Test func closeTellsGoneOnce() async throws {
        let engine = try EngineUnderTest { engine, stream, told, _ in
            guard told == .received else { return }
            engine.close(stream)
            engine.close(stream)
            engine.send(stream, [1])
            engine.finish(stream)
            engine.dropQueue(stream)
        }
        let peer = try engine.peer()
        try peer.write([1])
        #expect(try peer.readToEnd() == [])
        #expect(engine.transcript.wait(for: .gone(.closed)))
        let stream = try #require(engine.transcript.streams(.accepted).first)
        #expect(await engine.run { $0.queued(stream) } == 0)
        #expect(await engine.run(\.clientCount) == 0)
        engine.stop()
        #expect(engine.transcript.all(stream) == [.accepted, .received, .gone(.closed)])
    }

    /// A slot is used again under another generation: nothing meant for the old stream reaches the new one.
    @Test func aStaleIDIsIgnored() async throws {
        let engine = try EngineUnderTest(EngineUnderTest.echo)
        var peer: BlockingSocket? = try engine.peer()
        #expect(engine.transcript.wait(for: .accepted))
        peer = nil
        #expect(engine.transcript.wait(for: .gone(.ended)))
        let second = try engine.peer()
        #expect(engine.transcript.wait(for: .accepted, times: 2))
        let streams = engine.transcript.streams(.accepted)
        #expect(streams[0].slot == streams[1].slot)
        #expect(streams[0].generation != streams[1].generation)
        await engine.run { engine in
            engine.send(streams[0], [6, 6, 6])
            engine.finish(streams[0])
            engine.dropQueue(streams[0])
            engine.close(streams[0])
            engine.close(StreamID(slot: 999, generation: 0))
            engine.send(StreamID(slot: .max, generation: .max), [1])
        }
        try second.write([5])
        #expect(try second.read(count: 1) == [5])
        engine.stop()
        #expect(engine.transcript.all(streams[0]) == [.accepted, .gone(.ended)])
        #expect(engine.transcript.all(streams[1]).contains { $0.isGone } == false)
        #expect(peer == nil)
    }

    /// Closing a stream from within the end of another is told too.
    @Test func closedWhileAnotherGoes() throws {
        let engine = try EngineUnderTest { engine, stream, told, _ in
            if told.isGone, stream.slot == 0 { engine.close(StreamID(slot: 1, generation: 0)) }
        }
        var first: BlockingSocket? = try engine.peer()
        #expect(engine.transcript.wait(for: .accepted))
        let second = try engine.peer()
        #expect(engine.transcript.wait(for: .accepted, times: 2))
        try first?.write([1])
        first = nil
        #expect(try second.readToEnd() == [])
        #expect(engine.transcript.wait(for: .gone(.closed)))
        engine.stop()
    }

    @Test func manyConnections() async throws {
        let engine = try EngineUnderTest(EngineUnderTest.echo)
        var peers: [BlockingSocket] = []
        for _ in 0..<400 { peers.append(try engine.peer()) }
        for (number, peer) in peers.enumerated() { try peer.write(Array("peer \(number)".utf8)) }
        for (number, peer) in peers.enumerated() {
            let text = Array("peer \(number)".utf8)
            #expect(try peer.read(count: text.count) == text)
        }
        #expect(await engine.run(\.clientCount) == 400)
        peers = []
        #expect(engine.transcript.wait(for: .gone(.ended), times: 400))
        #expect(await engine.run(\.clientCount) == 0)
        engine.stop()
        let streams = engine.transcript.streams(.accepted)
        #expect(Set(streams).count == 400)
        for stream in streams { #expect(engine.transcript.all(stream).count(where: \.isGone) == 1) }
    }

    @Test func pausedAccepting() async throws {
        let engine = try EngineUnderTest(EngineUnderTest.echo)
        await engine.run { $0.pauseAccepting() }
        let peer = try engine.peer()
        try peer.write([1])
        for _ in 0..<20 { #expect(await engine.run(\.clientCount) == 0) }
        await engine.run { engine in
            engine.resumeAccepting()
            engine.resumeAccepting()
        }
        #expect(try peer.read(count: 1) == [1])
        engine.stop()
    }
}

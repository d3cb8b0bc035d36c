import PortcullisReactor
import Testing

/// Bytes of governed streams pass only while the engine serves.
@Suite struct ServingTests {
    /// An engine that echoes on governed streams; a stream whose first byte is 0 stays free.
    private func engine() throws -> EngineUnderTest {
        try EngineUnderTest { engine, stream, told, bytes in
            guard told == .received else { return }
            if bytes.first != 0 { engine.govern(stream) }
            engine.send(stream, bytes)
        }
    }

    @Test func nothingIsReadMeanwhile() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let (governed, free) = (try engine.peer(), try engine.peer())
        try governed.write([1])
        #expect(try governed.read(count: 1) == [1])
        await engine.run { $0.serve(until: Clock.boot()) }
        try governed.write([2])
        // The turns of the free one pass, and the governed one is not heard: what waits does not keep the loop busy either.
        for byte in UInt8(0)..<10 {
            try free.write([0, byte])
            #expect(try free.read(count: 2) == [0, byte])
        }
        let stream = try #require(engine.transcript.streams(.accepted).first)
        #expect(engine.transcript.received(stream) == [1])
        await engine.run { $0.serve(until: .max) }
        #expect(try governed.read(count: 1) == [2])
    }

    /// One that is held back passes nothing though the engine serves, through whatever freeze comes meanwhile, until it is resumed.
    @Test func oneIsHeldBackAlone() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let (held, other) = (try engine.peer(), try engine.peer())
        try held.write([1])
        #expect(try held.read(count: 1) == [1])
        try other.write([1])
        #expect(try other.read(count: 1) == [1])
        let stream = try #require(engine.transcript.streams(.accepted).first)
        await engine.run { engine in
            engine.serve(until: Clock.boot())
            engine.hold(stream)
        }
        try held.write([2])
        await engine.run { $0.serve(until: .max) }
        // Parked, and not let go by the engine's serving again and again.
        for byte in UInt8(2)..<12 {
            try other.write([byte])
            #expect(try other.read(count: 1) == [byte])
            await engine.run { engine in
                engine.serve(until: Clock.boot())
                engine.serve(until: .max)
            }
        }
        #expect(engine.transcript.received(stream) == [1])
        let queued = await engine.run { engine in
            engine.send(stream, [3])
            return engine.queued(stream)
        }
        #expect(queued == 1)
        // Resumed while the engine does not serve, it waits for that.
        await engine.run { engine in
            engine.serve(until: Clock.boot())
            engine.resume(stream)
        }
        #expect(engine.transcript.received(stream) == [1])
        await engine.run { $0.serve(until: .max) }
        #expect(try held.read(count: 2).sorted() == [2, 3])
    }

    /// The owner has enough of one stream: it is not read, but written, and read on when the owner wants more.
    @Test func readingIsPaused() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let (paused, other) = (try engine.peer(), try engine.peer())
        try paused.write([1])
        #expect(try paused.read(count: 1) == [1])
        let stream = try #require(engine.transcript.streams(.accepted).first)
        await engine.run { $0.pauseReading(stream) }
        try paused.write([2])
        for byte in UInt8(1)..<10 {
            try other.write([byte])
            #expect(try other.read(count: 1) == [byte])
        }
        #expect(engine.transcript.received(stream) == [1])
        await engine.run { $0.send(stream, [9]) }
        #expect(try paused.read(count: 1) == [9])
        await engine.run { $0.resumeReading(stream) }
        #expect(try paused.read(count: 1) == [2])
    }

    /// What is sent meanwhile waits, in its order, and goes out when the engine serves again.
    @Test func whatIsSentMeanwhileWaits() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let peer = try engine.peer()
        try peer.write([1])
        #expect(try peer.read(count: 1) == [1])
        let stream = try #require(engine.transcript.streams(.accepted).first)
        let queued = await engine.run { engine in
            engine.serve(until: .min)
            engine.send(stream, [2])
            engine.send(stream, [3])
            return engine.queued(stream)
        }
        #expect(queued == 2)
        await engine.run { $0.serve(until: .max) }
        #expect(try peer.read(count: 2) == [2, 3])
    }

    /// What was queued before waits too, although the peer makes room; once released its rest is written.
    @Test func theQueueIsHeld() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let peer = try engine.peer()
        try peer.write([1])
        #expect(try peer.read(count: 1) == [1])
        let stream = try #require(engine.transcript.streams(.accepted).first)
        let big = [UInt8](repeating: 7, count: 32 << 20)
        let queued = await engine.run { engine in
            engine.send(stream, big)
            engine.serve(until: .min)
            return engine.queued(stream)
        }
        #expect(queued > 0)
        // All that the kernel holds can be read, and then no more comes.
        #expect(try peer.read(count: big.count - queued).count == big.count - queued)
        #expect(await engine.run { $0.queued(stream) } == queued)
        await engine.run { engine in
            engine.release(stream)
            engine.finish(stream)
        }
        #expect(try peer.readToEnd().count == queued)
    }

    /// The deadline is by the clock: nobody has to say that it has passed.
    @Test func theDeadlinePassesByItself() async throws {
        let engine = try engine()
        defer { engine.stop() }
        let peer = try engine.peer()
        try peer.write([1])
        #expect(try peer.read(count: 1) == [1])
        let stream = try #require(engine.transcript.streams(.accepted).first)
        let queued = await engine.run { engine in
            engine.serve(until: Clock.boot() + 1_000_000)
            while Clock.boot() < Clock.boot() + 1 {
                engine.send(stream, [2])
                if engine.queued(stream) > 0 { break }
            }
            return engine.queued(stream)
        }
        #expect(queued == 1)
    }

    /// A peer that is gone is told, whether the engine serves or not.
    @Test func aBrokenPeerIsTold() async throws {
        let engine = try engine()
        defer { engine.stop() }
        var peer: BlockingSocket? = try engine.peer()
        try peer?.write([1])
        #expect(engine.transcript.wait(for: .received))
        await engine.run { $0.serve(until: .min) }
        // Closed with its echo unread: the kernel answers with a reset.
        peer = nil
        #expect(engine.transcript.wait(for: .gone(.ended)))
    }
}

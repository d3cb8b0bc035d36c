import PortcullisReactor
import Testing

@Suite(.serialized) struct ShrinkingTests {
    /// A crowd goes, one of it stays; then another crowd comes. No stream has the name of one that was there before.
    @Test func namesAreGivenOnce() async throws {
        let crowd = 1100
        let engine = try EngineUnderTest(EngineUnderTest.echo)
        defer { engine.stop() }
        let stays = try engine.peer()
        try stays.write([1])
        #expect(try stays.read(count: 1) == [1])
        for round in 1...2 {
            var peers = try (0..<crowd).map { _ in try engine.peer() }
            #expect(engine.transcript.wait { $0.count { $0.1 == .accepted } == crowd * round + 1 })
            #expect(await !engine.run { $0.shrink() })
            #expect(await engine.run { $0.capacity } > crowd)
            for peer in peers { peer.resetAtClose() }
            peers = []
            #expect(engine.transcript.wait { $0.count { $0.1.isGone } == crowd * round })
            #expect(await engine.run { $0.shrink() })
            #expect(await engine.run { $0.capacity } < 64)
            // What still has the name of one that is gone reaches nobody.
            for stream in engine.transcript.streams(.accepted).dropFirst() {
                await engine.run { engine in
                    engine.send(stream, [9])
                    engine.close(stream)
                    engine.pauseReading(stream)
                    engine.govern(stream)
                }
            }
            try stays.write([2])
            #expect(try stays.read(count: 1) == [2])
        }
        let names = engine.transcript.streams(.accepted)
        #expect(Set(names).count == names.count)
        #expect(names.count == 2 * crowd + 1)
    }
}

import PortcullisCore
import TestKit
import Testing

@Suite struct SweepWheelTests {
    static let epoch = BootTime(nanoseconds: 123_456_789)

    static func at(_ milliseconds: Int64) -> BootTime {
        epoch + Milliseconds(milliseconds)
    }

    /// Swept each tick: every deadline comes out, none early, none more than a tick late.
    @Test(arguments: [(31, 2), (32, 7), (33, 64), (34, 2048)] as [(UInt64, Int)]) func agreesWithADictionary(
        _ seed: UInt64,
        _ buckets: Int
    ) {
        var generator = SeededGenerator(seed: seed)
        var wheel = SweepWheel(now: Self.epoch, buckets: buckets)
        var model: [UInt32: Int64] = [:]
        var now: Int64 = 0
        for _ in 0..<3000 {
            for _ in 0..<Int.random(in: 0..<6, using: &generator) {
                let slot = UInt32.random(in: 0..<80, using: &generator)
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    wheel.remove(slot)
                    model[slot] = nil
                } else {
                    let ahead = ([10, 49, 50, 51, 400, 5000, 20_000] as [Int64]).randomElement(using: &generator) ?? 0
                    let deadline = now + Int64.random(in: -60...ahead, using: &generator)
                    wheel.set(slot, at: Self.at(deadline))
                    model[slot] = deadline
                }
            }
            now += 50
            var slots: [UInt32] = []
            wheel.due(now: Self.at(now), limit: .max, into: &slots)
            for slot in slots {
                let deadline = model.removeValue(forKey: slot)
                #expect(deadline.map { $0 <= now } ?? false, "slot \(slot) is early or not set")
            }
            let late = model.filter { $0.value + 50 < now }
            #expect(late.isEmpty)
            #expect(wheel.count == model.count)
        }
    }

    /// Pauses of any length, from nothing to many turns of the wheel, and sweeps that end at their limit.
    @Test(arguments: [(41, 3), (42, 64)] as [(UInt64, Int)]) func pausesAndLimits(_ seed: UInt64, _ buckets: Int) {
        var generator = SeededGenerator(seed: seed)
        var wheel = SweepWheel(now: Self.epoch, buckets: buckets)
        var model: [UInt32: Int64] = [:]
        var now: Int64 = 0
        for _ in 0..<2500 {
            for _ in 0..<Int.random(in: 0..<5, using: &generator) {
                let slot = UInt32.random(in: 0..<60, using: &generator)
                let deadline = now + Int64.random(in: 0...12_000, using: &generator)
                wheel.set(slot, at: Self.at(deadline))
                model[slot] = deadline
            }
            now += ([0, 1, 49, 50, 51, 1000, 3200, 60_000] as [Int64]).randomElement(using: &generator) ?? 0
            let limit = Int.random(in: 1...4, using: &generator)
            // Now and then it stops after one slice and goes on in a later round.
            let slices = Bool.random(using: &generator) ? 1 : 100
            var ended = false
            for _ in 0..<slices where !ended {
                var slots: [UInt32] = []
                wheel.due(now: Self.at(now), limit: limit, into: &slots)
                #expect(slots.count <= limit)
                for slot in slots {
                    let deadline = model.removeValue(forKey: slot)
                    #expect(deadline.map { $0 <= now } ?? false, "slot \(slot) is early or not set")
                }
                ended = slots.count < limit
            }
            if ended {
                let late = model.filter { $0.value + 50 < now }
                #expect(late.isEmpty)
            }
            #expect(wheel.count == model.count)
        }
    }

    func due(_ wheel: inout SweepWheel, _ milliseconds: Int64, limit: Int = .max) -> [UInt32] {
        var slots: [UInt32] = []
        wheel.due(now: Self.at(milliseconds), limit: limit, into: &slots)
        return slots.sorted()
    }

    @Test func aDeadlineIsOnlyTheLastThatWasSet() {
        var wheel = SweepWheel(now: Self.epoch, buckets: 8)
        wheel.set(1, at: Self.at(100))
        wheel.set(1, at: Self.at(300))
        wheel.set(2, at: Self.at(100))
        wheel.remove(2)
        wheel.remove(2)
        wheel.remove(99)
        #expect(wheel.count == 1)
        #expect(due(&wheel, 200) == [])
        #expect(due(&wheel, 350) == [1])
        #expect(due(&wheel, 10_000) == [])
        wheel.set(1, at: Self.at(20_000))
        wheel.set(1, at: Self.at(10_100))
        #expect(due(&wheel, 10_150) == [1])
        #expect(wheel.count == 0)
    }

    @Test func beyondTheHorizon() {
        var wheel = SweepWheel(now: Self.epoch, buckets: 4)
        wheel.set(1, at: Self.at(1000))
        var early: [UInt32] = []
        for tick in 1...20 { early += due(&wheel, Int64(tick) * 50) }
        #expect(early == [])
        #expect(due(&wheel, 1050) == [1])
    }

    @Test func whatHasPassedAlreadyComesAtTheNextTick() {
        var wheel = SweepWheel(now: Self.epoch, buckets: 4)
        #expect(due(&wheel, 5000) == [])
        wheel.set(1, at: Self.at(10))
        wheel.set(2, at: BootTime(nanoseconds: .min))
        #expect(due(&wheel, 5049) == [])
        #expect(due(&wheel, 5050) == [1, 2])
    }

    @Test func theEndOfTimeDoesNotOverflow() {
        var wheel = SweepWheel(now: BootTime(nanoseconds: .min), buckets: 4)
        wheel.set(1, at: BootTime(nanoseconds: .max))
        wheel.set(2, at: BootTime(nanoseconds: .min))
        var slots: [UInt32] = []
        wheel.due(now: BootTime(nanoseconds: .max), limit: 10, into: &slots)
        wheel.due(now: BootTime(nanoseconds: .max), limit: 10, into: &slots)
        #expect(slots.contains(2))
        wheel.remove(1)
        #expect(wheel.count == 0)
    }
}

import Testing

@testable import PortcullisReactor

@Suite struct OutputQueueTests {
    /// Takes at most so many bytes a call and keeps what it took.
    final class Sink {
        var taken: [UInt8] = []
        var room: Int
        var fails = false

        init(room: Int) {
            self.room = room
        }

        func write(_ bytes: UnsafeRawBufferPointer) -> Int? {
            if fails { return nil }
            let count = min(room, bytes.count)
            taken += bytes.prefix(count)
            room -= count
            return count
        }
    }

    @Test func keepsOrder() {
        let queue = OutputQueue()
        queue.append([0, 0, 1, 2], from: 2)
        queue.append([3], from: 0)
        queue.append([9, 4, 5], from: 1)
        #expect(queue.bytes == 5)
        let sink = Sink(room: 1)
        #expect(queue.flush(sink.write))
        #expect(sink.taken == [1])
        #expect(queue.bytes == 4)
        sink.room = 0
        #expect(queue.flush(sink.write))
        #expect(queue.bytes == 4)
        sink.room = 100
        #expect(queue.flush(sink.write))
        #expect(sink.taken == [1, 2, 3, 4, 5])
        #expect(queue.bytes == 0)
        #expect(queue.flush(sink.write))
        queue.append([6], from: 0)
        #expect(queue.flush(sink.write))
        #expect(sink.taken == [1, 2, 3, 4, 5, 6])
    }

    @Test func anErrorIsTold() {
        let queue = OutputQueue()
        queue.append([1, 2], from: 0)
        let sink = Sink(room: 1)
        sink.fails = true
        #expect(queue.flush(sink.write) == false)
        #expect(queue.bytes == 2)
    }

    @Test func dropsWhatHasNotBegun() {
        let queue = OutputQueue()
        queue.dropUnstarted()
        queue.append([1, 2], from: 0)
        queue.append([3, 4], from: 0)
        queue.dropUnstarted()
        #expect(queue.bytes == 0)
        let sink = Sink(room: 1)
        queue.append([5, 6, 7], from: 0)
        queue.append([8], from: 0)
        #expect(queue.flush(sink.write))
        queue.dropUnstarted()
        #expect(queue.bytes == 2)
        queue.append([9], from: 0)
        sink.room = 100
        #expect(queue.flush(sink.write))
        #expect(sink.taken == [5, 6, 7, 9])
    }

    /// A buffer of which the kernel took the beginning before it came into the queue has begun.
    @Test func begunBeforeItCame() {
        let queue = OutputQueue()
        queue.append([1, 2, 3], from: 1)
        queue.append([4], from: 0)
        queue.dropUnstarted()
        let sink = Sink(room: 100)
        #expect(queue.flush(sink.write))
        #expect(sink.taken == [2, 3])
    }

    /// Against an array, with drops that are told apart by where the last write ended.
    @Test func agreesWithAnArray() {
        var state: UInt64 = 5
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let queue = OutputQueue()
        let sink = Sink(room: 0)
        var waiting: [[UInt8]] = []
        var begun = false
        var expected: [UInt8] = []
        for step in 0..<20_000 {
            switch random(10) {
            case 0...4:
                let buffer = (0...random(30)).map { UInt8(truncatingIfNeeded: step + $0) }
                queue.append(buffer, from: 0)
                waiting.append(buffer)
            case 5...8:
                sink.room = random(80)
                var room = sink.room
                while room > 0, let first = waiting.first {
                    let count = min(room, first.count)
                    expected += first.prefix(count)
                    room -= count
                    begun = count < first.count
                    if begun { waiting[0].removeFirst(count) } else { waiting.removeFirst() }
                }
                #expect(queue.flush(sink.write))
            default:
                queue.dropUnstarted()
                waiting = begun ? [waiting[0]] : []
            }
            #expect(queue.bytes == waiting.reduce(0) { $0 + $1.count })
        }
        #expect(sink.taken == expected)
    }
}

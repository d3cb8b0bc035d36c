import Testing

@testable import PortcullisCore

@Suite struct CoverOrderTests {
    private func key(_ covers: Int64, _ expires: Int64, _ reference: UInt32) -> CoverOrder.Key {
        .init(covers: ms(covers), expires: ms(expires), reference: reference)
    }

    /// Against a list.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func agreesWithAList(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var order = CoverOrder()
        var list: [CoverOrder.Key] = []
        for step in 0..<6000 {
            // More come than go, then more go than come.
            if Int.random(in: 0..<10, using: &generator) < (step < 4000 ? 8 : 1) || list.isEmpty {
                let covers = Int64.random(in: 0..<50, using: &generator)
                let new = key(covers, Int64.random(in: 0..<1000, using: &generator), UInt32(step))
                order.insert(new)
                list.append(new)
            } else {
                let gone = list.remove(at: Int.random(in: 0..<list.count, using: &generator))
                order.remove(gone)
                order.remove(gone)
            }
            let now = ms(Int64.random(in: -1..<1001, using: &generator))
            if step % 50 == 0 { #expect(order.first(after: now) == list.filter { $0.expires > now }.min()) }
            #expect(order.count == list.count)
        }
        #expect(order.references == list.sorted().map(\.reference))
        #expect(order.lengths.allSatisfy { $0 <= CoverOrder.runLength })
        for key in list { order.remove(key) }
        #expect(order.any == nil && order.first(after: ms(0)) == nil)
    }

    /// Steps are counted, not time: a hundred thousand in any order, of which all but the least have ended.
    @Test func looksAtFew() {
        var generator = SeededGenerator(seed: 9)
        var order = CoverOrder()
        let count: Int64 = 100_000
        for number in (0..<count).shuffled(using: &generator) { order.insert(key(number, count - number, 1)) }
        #expect(order.lengths.allSatisfy { $0 <= CoverOrder.runLength } && order.lengths.count < 800)
        for now in [0, 1, 50_000, 99_998] as [Int64] {
            var looks = 0
            #expect(order.first(after: ms(now), looks: &looks)?.covers == ms(count - now - 1))
            #expect(looks <= order.lengths.count + CoverOrder.runLength)
        }
        var looks = 0
        #expect(order.first(after: ms(count), looks: &looks) == nil)
        #expect(looks == order.lengths.count)
    }
}

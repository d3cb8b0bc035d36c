import PortcullisCore
import TestKit
import Testing

@Suite struct RateLimitTests {
    private func at(_ nanoseconds: Int64) -> BootTime {
        BootTime(nanoseconds: nanoseconds)
    }

    /// A bucket that is filled step by step, in exact whole numbers: token-nanoseconds.
    private struct Model {
        let perSecond: Int64
        let capacity: Int64
        var level: Int64
        var time: Int64 = 0

        init(_ perSecond: Int64, seconds: Int64) {
            self.perSecond = perSecond
            capacity = perSecond * seconds * 1_000_000_000
            level = capacity
        }

        mutating func pass(to now: Int64) {
            level = min(capacity, level + (now - time) * perSecond)
            time = now
        }

        /// A whole token, and the nanosecond that rounding may take from each that was ever taken is left out by the rates below.
        var hasToken: Bool { level >= 1_000_000_000 }
    }

    @Test(arguments: [UInt64](1...40))
    func aBucketIsWhatTheModelIs(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // Rates that divide a second, so that both are exact.
        let perSecond = [1, 2, 5, 20, 100, 1000, 1_000_000].randomElement(using: &random) ?? 1
        let seconds = Int64.random(in: 1...10, using: &random)
        let limit = RateLimit(perSecond: perSecond, burst: .seconds(seconds))
        var (bucket, model) = (TokenBucket(), Model(Int64(perSecond), seconds: seconds))
        var now = Int64(0)
        for _ in 0..<2000 {
            now += Int64.random(in: 0...(2_000_000_000 / Int64(perSecond)), using: &random)
            model.pass(to: now)
            #expect(bucket.hasToken(limit, at: at(now)) == model.hasToken)
            guard Int.random(in: 0..<4, using: &random) > 0 else { continue }
            let count = Int.random(in: 1...3, using: &random)
            bucket.take(count, limit, at: at(now))
            model.level -= Int64(count) * 1_000_000_000
        }
    }

    @Test func aFullBucketHoldsItsBurstAndNoMore() {
        let limit = RateLimit(perSecond: 3, burst: .seconds(10))
        var bucket = TokenBucket()
        var taken = 0
        while bucket.hasToken(limit, at: at(0)), taken < 1000 {
            bucket.take(1, limit, at: at(0))
            taken += 1
        }
        #expect(taken == 30)
        let wait = bucket.wait(limit, at: at(0))
        #expect(!bucket.hasToken(limit, at: at(wait - 1)))
        #expect(bucket.hasToken(limit, at: at(wait)))
    }

    @Test func debtIsPaidBeforeAnythingMoreIsTaken() {
        let limit = RateLimit(perSecond: 100, burst: .seconds(1))
        var bucket = TokenBucket()
        bucket.take(1000, limit, at: at(0))
        #expect(!bucket.hasToken(limit, at: at(9_000_000_000)))
        #expect(bucket.hasToken(limit, at: at(9_010_000_000)))
    }

    @Test func noNumberOverflows() {
        for perSecond in [1, Int.max] {
            for burst in [0, 1, Int64.max] {
                let limit = RateLimit(perSecond: perSecond, burst: Milliseconds(burst))
                var bucket = TokenBucket()
                for _ in 0..<3 { bucket.take(.max, limit, at: at(.max)) }
                _ = bucket.hasToken(limit, at: at(.min))
                #expect(bucket.wait(limit, at: at(.max)) >= 0)
            }
        }
    }

    /// A bucket too small for one token is still no wall.
    @Test func aBurstShorterThanATokenLetsOnePassWhenFull() {
        let limit = RateLimit(perSecond: 1, burst: Milliseconds(10))
        var bucket = TokenBucket()
        #expect(bucket.hasToken(limit, at: at(0)))
        bucket.take(1, limit, at: at(0))
        #expect(!bucket.hasToken(limit, at: at(999_999_999)))
        #expect(bucket.hasToken(limit, at: at(1_000_000_000)))
    }

    @Test func zeroIsNoLimit() {
        let limit = RateLimit(perSecond: 0, burst: .seconds(10))
        var bucket = TokenBucket()
        bucket.take(.max, limit, at: at(0))
        #expect(bucket.hasToken(limit, at: at(0)))
    }

    @Test func eachOfTheThreeIsItsOwn() {
        let rates = ConnectionRates(messages: 2, bytes: 100, control: 1, burst: .seconds(1))
        var state = RateState()
        let (first, second) = (state.tookControl(rates, at: at(0)), state.tookControl(rates, at: at(0)))
        #expect(first && !second)
        #expect(state.mayRead(rates, at: at(0)))
        state.tookBytes(100, rates, at: at(0))
        #expect(!state.mayRead(rates, at: at(0)))
        #expect(state.mayRead(rates, at: at(10_000_000)))
        state.tookMessage(rates, at: at(1_000_000_000))
        state.tookMessage(rates, at: at(1_000_000_000))
        #expect(!state.mayRead(rates, at: at(1_000_000_000)))
        #expect(state.mayRead(rates, at: at(1_500_000_000)))
    }

    @Test func onlyAPauseIsABreak() {
        let millisecond = Int64(1_000_000)
        var holding = HoldingBack(at: at(0))
        // Let go for as long as its tokens last, again and again: it is held back all the time.
        for step in 1...100 {
            let now = Int64(step) * 100 * millisecond
            holding.letGo(at: at(now))
            #expect(!holding.isOver(at: at(now + 4 * millisecond)))
            holding.hold(at: at(now + 4 * millisecond))
            #expect(holding.isHeld && holding.since == at(0))
        }
        holding.letGo(at: at(20_000 * millisecond))
        #expect(holding.isOver(at: at(20_005 * millisecond)))
        holding.hold(at: at(20_005 * millisecond))
        #expect(holding.since == at(20_005 * millisecond))
        #expect(!holding.isOver(at: at(.max)))
    }
}

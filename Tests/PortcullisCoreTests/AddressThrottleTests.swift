import PortcullisCore
import TestKit
import Testing

@Suite struct AddressThrottleTests {
    typealias Source = AddressThrottle.Source

    static func source(_ number: UInt32) -> Source {
        Source(IPAddress(v4: 0xC000_0200 + number))
    }

    /// Two buckets as a list of all that was counted.
    struct Model {
        struct Count {
            var times: [Int64] = []
            var begin = Int64.min / 2

            func turned(_ now: Int64, _ length: Int64) -> Int64 {
                if now - begin >= 2 * length { return now }
                return now - begin >= length ? begin + length : begin
            }

            mutating func add(_ now: Int64, _ length: Int64) {
                begin = turned(now, length)
                times.append(now)
            }

            func estimate(_ now: Int64, _ length: Int64) -> Double {
                let begin = turned(now, length)
                let current = times.count { $0 >= begin }
                let previous = times.count { $0 >= begin - length && $0 < begin }
                return Double(current) + Double(previous) * (1 - Double(now - begin) / Double(length))
            }
        }

        var failures = Count()
        var handshakes = Count()
        var connections = 0
    }

    @Test(arguments: [51, 52, 53, 54] as [UInt64]) func agreesWithANaiveModel(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let limits = AddressThrottle.Limits(failuresPerMinute: 6, handshakesPerSecond: 3, connections: 5)
        var throttle = AddressThrottle(limits: limits)
        var models = [Model](repeating: Model(), count: 5)
        var now: Int64 = 5000
        var verdicts: [String: Int] = [:]
        for _ in 0..<20_000 {
            // Mostly a busy second, now and then a pause that outlasts a bucket or two.
            let isPause = Int.random(in: 0..<400, using: &generator) == 0
            let steps: [Int64] = isPause ? [4000, 61_000, 130_000] : [0, 1, 20, 70, 333]
            now += steps.randomElement(using: &generator) ?? 0
            let number = Int.random(in: 0..<models.count, using: &generator)
            let source = Self.source(UInt32(number))
            switch Int.random(in: 0..<12, using: &generator) {
            case 0..<5:
                let failures = models[number].failures.estimate(now, 60_000)
                let handshakes = models[number].handshakes.estimate(now, 1000)
                // Within a rounding error of its limit the model knows nothing.
                guard abs(failures - 6) > 1e-9 || failures == 6, abs(handshakes - 3) > 1e-9 || handshakes == 3 else {
                    continue
                }
                switch throttle.enter(source, now: boot(ms: now)) {
                case .admitted:
                    #expect(failures < 6 && handshakes < 3 && models[number].connections < 5)
                    models[number].handshakes.add(now, 1000)
                    models[number].connections += 1
                    verdicts["admitted", default: 0] += 1
                case .rateLimited(let wait):
                    #expect(failures >= 6 || handshakes >= 3)
                    let late = now + wait.count
                    let (length, limit, count) =
                        failures >= 6
                        ? (Int64(60_000), 6.0, models[number].failures)
                        : (1000, 3.0, models[number].handshakes)
                    #expect(count.estimate(late, length) < limit)
                    #expect(count.estimate(late - 2, length) > limit - 1e-9, "the wait is too long")
                    verdicts["limited", default: 0] += 1
                case .tooManyConnections:
                    #expect(models[number].connections == 5)
                    verdicts["full", default: 0] += 1
                }
            case 5:
                throttle.failed(source, now: boot(ms: now))
                models[number].failures.add(now, 60_000)
            default:
                guard models[number].connections > 0 else { continue }
                throttle.left(source)
                models[number].connections -= 1
            }
        }
        #expect(verdicts.values.allSatisfy { $0 > 100 } && verdicts.count == 3, "\(verdicts)")
    }

    @Test func sixtyFailuresThenNoMoreUntilTheyFade() {
        var throttle = AddressThrottle(limits: .init())
        let (source, other) = (Self.source(1), Self.source(2))
        for second in 0..<60 {
            #expect(throttle.enter(source, now: boot(ms: Int64(second) * 100)) == .admitted)
            throttle.failed(source, now: boot(ms: Int64(second) * 100))
        }
        #expect(throttle.enter(source, now: boot(ms: 6000)) == .rateLimited(retryAfter: Milliseconds(54_001)))
        #expect(throttle.enter(other, now: boot(ms: 6000)) == .admitted)
        #expect(throttle.count == 1, "who does not fail needs no entry")
        #expect(throttle.enter(source, now: boot(ms: 60_000)) == .rateLimited(retryAfter: Milliseconds(1)))
        #expect(throttle.enter(source, now: boot(ms: 60_001)) == .admitted)
        #expect(throttle.enter(source, now: boot(ms: 500_000)) == .admitted)
    }

    /// Whoever fails as often as he is let: never more than the limit in a bucket, nor twice the limit in any minute.
    @Test func noMinuteHoldsTwiceTheLimit() {
        var throttle = AddressThrottle(limits: .init())
        var times: [Int64] = []
        for time in stride(from: Int64(0), to: 600_000, by: 100) {
            guard time > 59_000, throttle.enter(Self.source(1), now: boot(ms: time)) == .admitted else { continue }
            throttle.failed(Self.source(1), now: boot(ms: time))
            times.append(time)
        }
        #expect(times.count > 400)
        for time in times { #expect(times.count { $0 >= time && $0 < time + 60_000 } < 120) }
    }

    func address(_ text: String) throws -> IPAddress {
        try #require(IPAddress(text))
    }

    @Test func aSourceIsAnAddressOrASlash64() throws {
        let limits = AddressThrottle.Limits()
        func source(_ text: String) throws -> Source? { limits.source(try address(text)) }
        #expect(try source("192.0.2.1") != source("192.0.2.2"))
        #expect(try source("192.0.2.1") == source("::ffff:192.0.2.1"))
        #expect(try source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff::9"))
        #expect(try source("2001:db8:1:2::1") != source("2001:db8:1:3::1"))
    }

    @Test func privateAddressesAreExemptUnlessAskedFor() throws {
        let exempt = [
            "127.0.0.1", "127.255.0.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.3.4", "169.254.1.1",
            "100.64.0.1", "100.127.255.255", "::1", "fe80::1", "febf::1", "fc00::1", "fdff::1", "::ffff:10.0.0.1",
        ]
        let limited = [
            "126.0.0.1", "128.0.0.1", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "169.253.0.1",
            "100.63.255.255", "100.128.0.0", "::2", "fec0::1", "fe00::1", "2001:db8::1", "0.0.0.0",
        ]
        let (standard, all) = (AddressThrottle.Limits(), AddressThrottle.Limits(throttlesPrivate: true))
        for text in exempt { #expect(standard.source(try address(text)) == nil, "\(text)") }
        for text in limited { #expect(standard.source(try address(text)) != nil, "\(text)") }
        for text in exempt + limited { #expect(all.source(try address(text)) != nil) }
        #expect(standard.source(nil) == nil)
        #expect(all.source(nil) != nil)
        let off = AddressThrottle.Limits(failuresPerMinute: 0, throttlesPrivate: true)
        #expect(off.source(IPAddress(v4: 1)) == nil)
    }

    // MARK: - The bound

    @Test func theOldestCalmSourceGoesFirst() {
        var throttle = AddressThrottle(limits: .init(failuresPerMinute: 2), capacity: 3)
        for number in [1, 2, 3, 1] as [UInt32] { throttle.failed(Self.source(number), now: boot(ms: 1)) }
        // 1 is over; 2 is the oldest that is not.
        throttle.failed(Self.source(4), now: boot(ms: 2))
        #expect(throttle.count == 3)
        throttle.failed(Self.source(2), now: boot(ms: 3))
        #expect(throttle.enter(Self.source(2), now: boot(ms: 3)) == .admitted, "its failure was forgotten")
        throttle.failed(Self.source(4), now: boot(ms: 3))
        #expect(throttle.enter(Self.source(4), now: boot(ms: 3)) != .admitted, "its failure was not")
        #expect(throttle.enter(Self.source(1), now: boot(ms: 3)) != .admitted)
        // All are over: the oldest of them goes.
        throttle.failed(Self.source(2), now: boot(ms: 4))
        throttle.failed(Self.source(5), now: boot(ms: 5))
        #expect(throttle.count == 3)
        #expect(throttle.enter(Self.source(1), now: boot(ms: 5)) == .admitted)
        // One that is over no longer goes before one that never was.
        throttle.failed(Self.source(6), now: boot(ms: 200_000))
        throttle.failed(Self.source(5), now: boot(ms: 200_000))
        throttle.failed(Self.source(5), now: boot(ms: 200_000))
        #expect(throttle.enter(Self.source(5), now: boot(ms: 200_000)) != .admitted)
        #expect(throttle.count == 3)
    }

    @Test func aSourceWithConnectionsStays() {
        var throttle = AddressThrottle(limits: .init(connections: 1), capacity: 2)
        #expect(throttle.enter(Self.source(1), now: boot(ms: 1)) == .admitted)
        for number in 10..<50 as Range<UInt32> { throttle.failed(Self.source(number), now: boot(ms: 2)) }
        #expect(throttle.enter(Self.source(1), now: boot(ms: 3)) == .tooManyConnections)
        #expect(throttle.enter(Self.source(2), now: boot(ms: 3)) == .admitted)
        // All have connections: a third is not counted, and its end harms nobody's count.
        #expect(throttle.enter(Self.source(3), now: boot(ms: 3)) == .admitted)
        #expect(throttle.enter(Self.source(3), now: boot(ms: 3)) == .admitted)
        throttle.left(Self.source(3))
        #expect(throttle.count == 2)
        throttle.left(Self.source(1))
        #expect(throttle.enter(Self.source(1), now: boot(ms: 3)) == .admitted)
    }

    @Test func aFloodOfAddressesFillsTheTableAndFreesNobody() {
        var throttle = AddressThrottle(limits: .init(failuresPerMinute: 5, handshakesPerSecond: 100))
        let culprit = Self.source(0)
        for _ in 0..<5 { throttle.failed(culprit, now: boot(ms: 0)) }
        for number in 1...200_000 as ClosedRange<UInt32> {
            let now = boot(ms: Int64(number) / 10)
            #expect(throttle.enter(Self.source(number), now: now) == .admitted)
            if number.isMultiple(of: 3) { throttle.failed(Self.source(number), now: now) }
        }
        #expect(throttle.count == AddressThrottle.standardCapacity)
        #expect(throttle.enter(culprit, now: boot(ms: 20_000)) == .rateLimited(retryAfter: Milliseconds(40_001)))
    }

    /// The lists and the table stay one at a capacity where each step evicts.
    @Test(arguments: [61, 62] as [UInt64]) func staysWithinItsBound(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var throttle = AddressThrottle(
            limits: .init(failuresPerMinute: 2, handshakesPerSecond: 2, connections: 2),
            capacity: 8
        )
        var held: [Source] = []
        var now: Int64 = 0
        for _ in 0..<50_000 {
            now += Int64.random(in: 0...3000, using: &generator)
            let source = Self.source(UInt32.random(in: 0..<20, using: &generator))
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                if throttle.enter(source, now: boot(ms: now)) == .admitted { held.append(source) }
            case 1: throttle.failed(source, now: boot(ms: now))
            default:
                guard let index = held.indices.randomElement(using: &generator) else { continue }
                throttle.left(held.remove(at: index))
            }
            #expect(throttle.count <= 8)
        }
        for source in held { throttle.left(source) }
        now += 200_000
        for number in 100..<108 as Range<UInt32> { throttle.failed(Self.source(number), now: boot(ms: now)) }
        for number in 100..<108 as Range<UInt32> { throttle.failed(Self.source(number), now: boot(ms: now)) }
        // Nobody holds a place any more: all eight are the newest.
        for number in 100..<108 as Range<UInt32> {
            #expect(throttle.enter(Self.source(number), now: boot(ms: now)) != .admitted)
        }
    }

    @Test func theEndsOfTimeAndOfNumbers() {
        let limits = AddressThrottle.Limits(failuresPerMinute: .max, handshakesPerSecond: .max)
        var throttle = AddressThrottle(limits: limits, capacity: .max)
        for time in [Int64.min, .max, 0, .min, .max] {
            throttle.failed(Self.source(1), now: BootTime(nanoseconds: time))
            #expect(throttle.enter(Self.source(1), now: BootTime(nanoseconds: time)) == .admitted)
        }
    }
}

import PortcullisCore
import PortcullisRedis
import Testing

/// Three sentinels, a lease of five seconds, times in seconds.
@Suite struct SentinelMachineTests {
    static let a = RedisAddress(host: "10.0.0.1", port: 6379)
    static let b = RedisAddress(host: "10.0.0.2", port: 6379)
    static let c = RedisAddress(host: "10.0.0.3", port: 6379)
    var machine = SentinelMachine(sentinels: 3, lease: .seconds(5))

    func at(_ seconds: Double) -> BootTime {
        BootTime(nanoseconds: Int64(seconds * 1e9))
    }

    /// A sentinel's answer comes a tenth of a second behind its question.
    mutating func answered(_ sentinel: Int, _ address: RedisAddress, _ sent: Double) -> RedisAddress? {
        machine.answered(sentinel, .primary(address), sentAt: at(sent), now: at(sent + 0.1))
    }

    mutating func follow(_ address: RedisAddress) {
        for sentinel in 0..<3 { _ = answered(sentinel, address, 0) }
        #expect(machine.choose(keeps: false, now: at(0.2)) == address)
        machine.connected()
    }

    @Test mutating func nobodyIsKnownAtFirst() {
        #expect(!machine.knowsPrimary(now: at(0)))
        #expect(machine.choose(keeps: false, now: at(0)) == nil)
        #expect(machine.choose(keeps: true, now: at(0)) == nil)
        #expect(machine.vouchable(at(0), now: at(0)) == nil)
    }

    /// One answer is enough to try; a majority is needed to vouch.
    @Test mutating func oneIsEnoughToTry() {
        #expect(answered(1, Self.a, 1) == nil)
        #expect(machine.knowsPrimary(now: at(1.1)))
        #expect(machine.choose(keeps: false, now: at(1.1)) == Self.a)
        #expect(machine.following == Self.a)
        #expect(machine.vouchable(at(1), now: at(1.1)) == nil)
        #expect(answered(0, Self.a, 2) == nil)
        #expect(machine.vouchable(at(2), now: at(2.1)) == at(1))
    }

    /// The view vouches as of the earlier of the two questions, so that the lease bounds both.
    @Test mutating func theEarlierQuestionCounts() {
        follow(Self.a)
        _ = answered(0, Self.a, 3)
        // 3, 0, 0: the majority's second answer is of 0.
        #expect(machine.vouchable(at(2), now: at(3.5)) == at(0))
        _ = answered(2, Self.a, 1)
        #expect(machine.vouchable(at(2), now: at(3.5)) == at(1))
        #expect(machine.vouchable(at(0.5), now: at(3.5)) == at(0.5))
    }

    @Test mutating func anAnswerCountsForTheLease() {
        follow(Self.a)
        _ = answered(0, Self.a, 1)
        #expect(machine.vouchable(at(4.9), now: at(4.999)) == at(0))
        #expect(machine.vouchable(at(4.9), now: at(5)) == nil)
        _ = answered(1, Self.a, 5)
        #expect(machine.vouchable(at(5), now: at(5.1)) == at(1))
        #expect(machine.vouchable(at(6), now: at(6)) == nil)
        #expect(machine.knowsPrimary(now: at(9.9)))
        #expect(!machine.knowsPrimary(now: at(10)))
    }

    /// A minority that is mistaken, or early, leads nobody away; it vouches for nobody either.
    @Test mutating func aMajorityLeadsAway() {
        follow(Self.a)
        #expect(answered(0, Self.b, 1) == nil)
        #expect(machine.vouchable(at(1), now: at(1.1)) == at(0))
        #expect(answered(1, Self.b, 1.5) == Self.b)
        #expect(machine.following == Self.b)
        #expect(machine.choose(keeps: true, now: at(1.6)) == Self.b)
        // Told once.
        #expect(answered(2, Self.b, 2) == nil)
        #expect(machine.vouchable(at(2), now: at(2.1)) == at(1.5))
    }

    /// Three that do not agree: no majority, no vouch.
    @Test mutating func threeOpinions() {
        follow(Self.a)
        _ = answered(1, Self.b, 1)
        _ = answered(2, Self.c, 1)
        #expect(machine.vouchable(at(1), now: at(1.1)) == nil)
        #expect(machine.following == Self.a)
    }

    /// Both links lead to one Redis, whatever is said meanwhile.
    @Test mutating func theOtherLinkIsKept() {
        follow(Self.a)
        _ = answered(0, Self.b, 4)
        #expect(machine.choose(keeps: true, now: at(20)) == Self.a)
    }

    /// Without links: those that most name, then the latest, and not the same again where it was none.
    @Test mutating func theOthersAreTriedToo() {
        _ = answered(0, Self.a, 1)
        _ = answered(1, Self.b, 1.5)
        let tried = (0..<4).map { _ in machine.choose(keeps: false, now: at(2)) }
        #expect(tried == [Self.b, Self.a, Self.b, Self.a])
        _ = answered(2, Self.a, 1.2)
        machine.connected()
        #expect(machine.choose(keeps: false, now: at(2)) == Self.a)
        // What was said too long ago is forgotten.
        machine.connected()
        #expect(machine.choose(keeps: false, now: at(6.3)) == Self.b)
    }

    /// A sentinel that does not know the name any more takes its word back.
    @Test(arguments: [SentinelAnswer.unknown, .refused("IDONTKNOW")])
    mutating func aWordTakenBack(_ answer: SentinelAnswer) {
        follow(Self.a)
        _ = machine.answered(0, answer, sentAt: at(1), now: at(1.1))
        #expect(machine.vouchable(at(1), now: at(1.1)) == at(0))
        _ = machine.answered(2, answer, sentAt: at(1), now: at(1.1))
        #expect(machine.vouchable(at(1), now: at(1.1)) == nil)
    }

    @Test mutating func aSentinelThatIsNone() {
        #expect(machine.answered(3, .primary(Self.a), sentAt: at(0), now: at(0)) == nil)
        #expect(machine.answered(-1, .primary(Self.a), sentAt: at(0), now: at(0)) == nil)
        #expect(!machine.knowsPrimary(now: at(0)))
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
    func majorities(_ sentinels: Int, _ majority: Int) {
        #expect(SentinelMachine(sentinels: sentinels, lease: .seconds(5)).majority == majority)
    }

    @Test func answers() {
        func text(_ text: String) -> RESPValue { .bytes(Array(text.utf8)) }
        #expect(SentinelAnswer(.array([text("10.0.0.1"), text("6379")])) == .primary(Self.a))
        #expect(SentinelAnswer(.null) == .unknown)
        for odd: RESPValue in [
            .array([]), .array([text("h")]), .array([text("h"), text("0")]), .array([text("h"), text("70000")]),
            .array([text(""), text("1")]), .array([.null, text("1")]), .array([text("h"), text("1"), text("2")]),
            .integer(1), .error("ERR No such master with that name"),
        ] {
            guard case .refused(let why) = SentinelAnswer(odd) else {
                Issue.record("\(odd)")
                continue
            }
            #expect(!why.isEmpty)
        }
    }
}

@Suite struct ReplicationBoundTests {
    static func reply(_ words: String...) -> RESPValue {
        .array(words.map { .bytes(Array($0.utf8)) })
    }

    @Test func bounds() {
        let table: [(RESPValue, ReplicationBound)] = [
            (Self.reply("min-replicas-max-lag", "10", "min-replicas-to-write", "1"), .bounded(.seconds(15))),
            (Self.reply("min-replicas-to-write", "2", "min-replicas-max-lag", "1"), .bounded(.seconds(6))),
            (Self.reply("min-replicas-to-write", "0", "min-replicas-max-lag", "10"), .unbounded),
            (Self.reply("min-replicas-to-write", "1", "min-replicas-max-lag", "0"), .unbounded),
            (.error("NOPERM no"), .unknown("NOPERM no")),
        ]
        for (reply, bound) in table { #expect(ReplicationBound(reply, lease: .seconds(5)) == bound) }
        for odd in [RESPValue.null, Self.reply(), Self.reply("min-replicas-to-write"), Self.reply("a", "b", "c")] {
            guard case .unknown = ReplicationBound(odd, lease: .seconds(5)) else {
                Issue.record("\(odd)")
                continue
            }
        }
    }
}

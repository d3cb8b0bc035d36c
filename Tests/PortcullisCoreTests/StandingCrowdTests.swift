import Testing

@testable import PortcullisCore

/// Many decisions against the same, and many that are about others: neither makes a handshake walk over them.
@Suite struct StandingCrowdTests {
    private static let alice = Selector(ids: [.user: "alice"])

    private func looks(
        _ standing: borrowing StandingDecisions,
        _ identity: Identity,
        _ address: IPAddress? = nil
    ) -> Int {
        var looks = 0
        for field in Identity.Field.allCases {
            standing.compact.forEach(field, of: identity, now: ms(0)) { _ in looks += 1 }
        }
        standing.general.forEachCandidate(identity, address) { _ in looks += 1 }
        return looks
    }

    private func verdict(
        _ standing: borrowing StandingDecisions,
        issued: Int64,
        _ now: Int64
    ) -> StandingDecisions.Verdict? {
        standing.verdict(on: Identity(user: "alice", issued: ms(issued)), from: nil, presented: ms(.max), now: ms(now))
    }

    /// A revocation a second for a day and longer. To lift the last of them leaves those before it in force.
    @Test func aHundredThousandAgainstOneUser() {
        var standing = StandingDecisions()
        let count: Int64 = 100_000
        for second in 1...count {
            let event = Identifier("e\(second)")
            standing.apply(
                .revoke(.init(select: Self.alice, issuedBefore: .append)),
                event: event,
                order: second * 1000
            )
        }
        let last = count * 1000
        #expect(standing.count == Int(count))
        #expect(looks(standing, Identity(user: "alice")) <= 3)
        #expect(looks(standing, Identity(user: "bob")) == 0)
        #expect(verdict(standing, issued: last, last) == .revoked)
        #expect(verdict(standing, issued: last + 1, last) == nil)
        // The most that one insertion or removal moves.
        let orders = standing.compact.crowds.values.flatMap { [$0.orders[0], $0.orders[1], $0.orders[2]] }
        #expect(orders.map(\.count) == [Int(count), 0, 0])
        #expect(orders.allSatisfy { $0.lengths.allSatisfy { $0 <= CoverOrder.runLength } })
        for back in 0..<Int64(50) {
            #expect(verdict(standing, issued: last - back * 1000, last) == .revoked)
            standing.apply(
                .lift(event: Identifier("e\(count - back)")),
                event: Identifier("l\(back)"),
                order: last + back + 1
            )
            #expect(verdict(standing, issued: last - back * 1000, last) == nil)
        }
        // Blocks of the same user, lifted by one unblock.
        for number in 1...Int64(1000) {
            let event = Identifier("b\(number)")
            standing.apply(.block(Self.alice, except: nil, until: nil), event: event, order: last + 100 + number)
        }
        #expect(verdict(standing, issued: last, last) == .blocked)
        #expect(looks(standing, Identity(user: "alice")) <= 3)
        standing.apply(.unblock(Self.alice), event: "u", order: last + 5000)
        #expect(verdict(standing, issued: last, last) == nil)
        #expect(verdict(standing, issued: last - 60_000, last) == .revoked)
        #expect(standing.count == Int(count) - 50)
    }

    @Test func aHundredThousandBlockedAddresses() throws {
        var standing = StandingDecisions()
        for number in 0..<100_000 as Range<UInt32> {
            let network = IPNetwork(IPAddress(v4: 0x0A00_0000 + number), prefix: 128)
            let event = Identifier("b\(number)")
            standing.apply(
                .block(Selector(network: network), except: nil, until: nil),
                event: event,
                order: Int64(number)
            )
        }
        let wide = Selector(network: IPNetwork("198.51.100.0/24"))
        standing.apply(.block(wide, except: nil, until: nil), event: "wide", order: 1)
        standing.apply(
            .revoke(.init(select: Selector(all: true), issuedBefore: .never, expires: ms(10))),
            event: "all",
            order: 2
        )
        let identity = Identity(user: "alice", ids: [.key: "k", .issuer: "i"])
        func verdict(_ address: String, now: Int64 = 10) -> StandingDecisions.Verdict? {
            standing.verdict(on: identity, from: IPAddress(address), presented: ms(5), now: ms(now))
        }
        #expect(verdict("10.0.0.0") == .blocked)
        #expect(verdict("10.1.134.159") == .blocked)
        #expect(verdict("10.1.134.160") == nil)
        #expect(verdict("198.51.100.77") == .blocked)
        #expect(verdict("198.51.101.77") == nil)
        #expect(verdict("10.1.134.160", now: 9) == .revoked)
        for (address, most) in [("10.0.0.7", 2), ("198.51.100.77", 2), ("203.0.113.1", 1)] {
            #expect(looks(standing, identity, IPAddress(address)) <= most, "\(address)")
        }
        // Keys and issuers are found by their id.
        for number in 0..<1000 {
            for field in [Identity.Field.key, .issuer] {
                let select = Selector(ids: [field: Identifier("\(number)")])
                standing.apply(
                    .revoke(.init(select: select, issuedBefore: .never)),
                    event: Identifier("\(field)\(number)"),
                    order: 3
                )
            }
        }
        #expect(looks(standing, identity) <= 1)
        let known = Identity(user: "alice", ids: [.key: "7", .issuer: "i"])
        #expect(standing.verdict(on: known, from: nil, presented: ms(5), now: ms(10)) == .revoked)
        // Lifted, all of it goes.
        for number in 0..<100_000 as Range<UInt32> {
            let network = IPNetwork(IPAddress(v4: 0x0A00_0000 + number), prefix: 128)
            standing.apply(.unblock(Selector(network: network)), event: Identifier("u\(number)"), order: 200_000)
        }
        #expect(verdict("10.0.0.0") == nil)
        #expect(standing.general.count == 2)
    }

    /// Rounds of blocks that are lifted beside some that stay, and of revocations that end at their own time.
    @Test func roundsLeaveNoBytesBehind() {
        var standing = StandingDecisions()
        var baseline = 0
        var order: Int64 = 0
        for round in 0..<12 as Range<Int64> {
            let now = round * 7_200_000
            for number in 0..<1500 as Range<Int64> {
                order = now + number + 1
                let select = Selector(ids: [.user: Identifier("user \(number)")])
                standing.apply(.block(select, except: nil, until: nil), event: Identifier("b\(order)"), order: order)
                let revoke = Decision.Revocation(select: select, issuedBefore: .append, expires: ms(order + 1000))
                standing.apply(.revoke(revoke), event: Identifier("r\(order)"), order: order)
                // One in a hundred stays.
                if number % 100 != 0 { standing.apply(.unblock(select), event: Identifier("u\(order)"), order: order) }
            }
            for turn in 0..<20 as Range<Int64> { standing.expire(now: ms(now + 3_700_000 + turn)) }
            if round == 1 { baseline = standing.compact.pages.reduce(0) { $0 + $1.bytes.capacity } }
        }
        let bytes = standing.compact.pages.reduce(0) { $0 + $1.bytes.capacity }
        #expect(bytes <= baseline + 1 << 17, "\(baseline) \(bytes)")
        #expect(standing.count == 12 * 15)
        let user = Identity(user: "user 100")
        #expect(standing.verdict(on: user, from: nil, presented: ms(order), now: ms(order)) == .blocked)
    }
}

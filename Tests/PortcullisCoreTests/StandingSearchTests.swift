import PortcullisCore
import TestKit
import Testing

/// What the log lacks is looked for a slice at a time, while the replica changes.
@Suite struct StandingSearchTests {
    private func select(_ number: Int) -> Selector {
        switch number % 4 {
        case 0: Selector(ids: [.user: Identifier("user \(number % 40)")])
        case 1: Selector(ids: [.token: Identifier("token \(number)")])
        case 2: Selector(ids: [.user: Identifier("user \(number % 8)"), .tenant: "acme"])
        default: Selector(network: IPNetwork(IPAddress(v4: UInt32(number)), prefix: 120))
        }
    }

    private func logged(_ number: Int) -> LoggedEvent {
        let decision: Decision =
            switch number % 11 {
            case 0: .lift(event: Identifier("nobody \(number)"))
            case 1: .unblock(Selector(ids: [.user: Identifier("other \(number)")]))
            case 2, 3: .block(select(number), except: nil, until: nil)
            default: .revoke(.init(select: select(number), issuedBefore: .never))
            }
        let key = Identifier("e\(number)")
        return LoggedEvent(key: key, order: Int64(number), event: Event(id: key, decision: decision))
    }

    /// Each that is lacking from the beginning to the end of a search is answered once, and none that was found.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func answersEachOnce(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var standing = StandingDecisions()
        let count = 6000
        for number in 1...count { standing.apply(logged(number)) }
        standing.beginReading()
        // Most are found; the pages of the rest become nearly empty, which has them emptied.
        var lacking = Set<Int>()
        for number in 1...count {
            if Int.random(in: 0..<5, using: &generator) == 0 {
                lacking.insert(number)
            } else {
                standing.apply(logged(number))
            }
        }
        var (answered, gone) = ([Identifier](), Set<Int>())
        var search = standing.searchForMissing()
        var (calls, next) = (0, count + 1)
        while !search.isOver {
            calls += 1
            let (rows, copies) = (Int.random(in: 1..<40, using: &generator), Int.random(in: 1..<10, using: &generator))
            let slice = standing.missing(&search, now: ms(0), rows: rows, copies: copies)
            #expect(slice.count <= min(rows, copies))
            answered += slice.map(\.key)
            for _ in 0..<Int.random(in: 0..<30, using: &generator) {
                let number = Int.random(in: 1...count, using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0:
                    // Found after all.
                    standing.apply(logged(number))
                    gone.insert(number)
                case 1:
                    standing.apply(logged(next))
                    next += 1
                default:
                    standing.apply(.lift(event: Identifier("e\(number)")), event: Identifier("l\(number)"), order: .max)
                    gone.insert(number)
                }
            }
            standing.expire(now: ms(Int64(calls)))
        }
        let keys = Set(answered)
        #expect(keys.count == answered.count)
        for number in lacking.subtracting(gone) where number % 11 > 1 {
            #expect(keys.contains(Identifier("e\(number)")), "\(number)")
        }
        for key in answered { #expect(lacking.contains { Identifier("e\($0)") == key }, "\(key)") }
        #expect(calls <= count * 2)
    }

    private func revoke(_ number: Int, length: Int = 1) -> LoggedEvent {
        let select = Selector(ids: [.session: Identifier("\(number)" + String(repeating: "x", count: length))])
        let key = Identifier("e\(number)")
        let event = Event(id: key, decision: .revoke(.init(select: select, issuedBefore: .never)))
        return LoggedEvent(key: key, order: Int64(number), event: event)
    }

    private func lift(_ numbers: some Sequence<Int>, in standing: inout StandingDecisions) {
        for number in numbers {
            standing.apply(.lift(event: Identifier("e\(number)")), event: Identifier("l\(number)"), order: .max)
        }
    }

    /// Pages are emptied into the one that is written to, which a search may have passed: what it looks for stays where it is.
    @Test func whatIsLackingIsNotMovedBehindASearch() {
        var standing = StandingDecisions()
        // The first page is given back, and is the one that is written to again when those behind it are full.
        for number in 0..<6000 { standing.apply(revoke(number)) }
        lift(0..<2500, in: &standing)
        for number in 6000..<8500 { standing.apply(revoke(number)) }
        standing.beginReading()
        for number in 2500..<8500 where number % 1000 != 0 { standing.apply(revoke(number)) }
        // Whichever page holds one of them, little else is left in it.
        lift((2500..<8500).filter { $0 % 1000 != 0 && $0 % 50 != 0 }, in: &standing)
        var found: [Identifier] = []
        var (search, calls) = (standing.searchForMissing(), 0)
        while !search.isOver {
            found += standing.missing(&search, now: ms(0), rows: 700, copies: 9).map(\.key)
            calls += 1
            // The first page is behind.
            if calls == 4 { for turn in 0..<10 as Range<Int64> { standing.expire(now: ms(turn)) } }
        }
        let decisions = found.map(\.description).filter { $0.hasPrefix("e") }
        #expect(decisions.sorted() == (3...8).map { "e\($0)000" })
    }

    /// A page that was given back and is used again: a place in it is no beginning of a row any more.
    @Test func aPageIsGivenBackUnderASearch() {
        for rows in [1, 8, 21] {
            var standing = StandingDecisions()
            for number in 0..<2500 { standing.apply(revoke(number)) }
            standing.beginReading()
            var search = standing.searchForMissing()
            let first = standing.missing(&search, now: ms(0), rows: rows, copies: rows).map(\.key)
            #expect(first.count == rows)
            lift(0..<2500, in: &standing)
            for number in 2500..<3600 { standing.apply(revoke(number, length: 100 + number % 50)) }
            while !search.isOver {
                #expect(standing.missing(&search, now: ms(0), rows: 500, copies: 50).isEmpty)
            }
        }
    }

    @Test func anotherReadingEndsIt() {
        var standing = StandingDecisions()
        for number in 1...100 { standing.apply(logged(number)) }
        standing.beginReading()
        var search = standing.searchForMissing()
        #expect(standing.missing(&search, now: ms(0), rows: 10, copies: 3).count == 3)
        #expect(!search.isOver)
        // Until it has read all, everything would be missing.
        standing.beginReading()
        #expect(standing.missing(&search, now: ms(0), rows: 10, copies: 3).isEmpty)
        #expect(search.isOver && search.isOvertaken)
        #expect(standing.missing(now: ms(0)).count == 100)
    }

    /// A million that are there cost a million looks, in slices; one that is not is found among them.
    @Test func isBounded() {
        var standing = StandingDecisions()
        for number in 1...5000 { standing.apply(logged(number)) }
        standing.beginReading()
        for number in 1...5000 where number != 2502 { standing.apply(logged(number)) }
        var search = standing.searchForMissing()
        var (found, calls) = ([Identifier](), 0)
        while !search.isOver {
            found += standing.missing(&search, now: ms(0), rows: 100, copies: 1).map(\.key)
            calls += 1
        }
        #expect(found == ["e2502"])
        #expect(calls >= 50 && calls < 70)
    }
}

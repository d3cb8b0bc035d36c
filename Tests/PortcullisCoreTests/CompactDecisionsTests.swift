import Testing

@testable import PortcullisCore

@Suite struct CompactDecisionsTests {
    typealias Row = CompactDecisions.Row

    private let lifetimes = StandingDecisions.Lifetimes(retention: .seconds(100), longestSession: .seconds(1000))

    private func row(_ number: Int, _ generator: inout SeededGenerator, isCrowded: Bool = false) -> Row {
        let fields: [Identity.Field] =
            isCrowded ? [.user, .token] : [.token, .tokenHash, .session, .user, .device, .tenant, .key, .issuer]
        let field = fields[Int.random(in: 0..<fields.count, using: &generator)]
        let order = Int64(1_000_000 + number * 7)
        let appended = WallTime(milliseconds: order)
        let usual = appended + (field == .token || field == .tokenHash ? lifetimes.retention : lifetimes.longest)
        let events = [
            "01J\(Self.padded(number, 23))", "h:" + String(repeating: "0", count: 60) + Self.hex(number),
            "event \(number)",
        ]
        let verdict = [StandingDecisions.Verdict.revoked, .blocked, .reauthenticationRequired][
            Int.random(in: 0..<3, using: &generator)
        ]
        return Row(
            verdict: verdict,
            field: field,
            // Few ids, so that many decisions are against the same.
            id: Identifier(
                isCrowded
                    ? "id-\(Int.random(in: 0..<2, using: &generator))"
                    : "id-\(Int.random(in: 0..<40, using: &generator))"
                        + String(repeating: "x", count: Int.random(in: 0..<200, using: &generator))
            ),
            covers: [nil, appended, WallTime(milliseconds: order - 5)][Int.random(in: 0..<3, using: &generator)],
            order: order,
            expires: [nil, usual, usual, usual, WallTime(milliseconds: order + 12_345)][
                Int.random(in: 0..<5, using: &generator)
            ],
            event: Identifier(events[Int.random(in: 0..<3, using: &generator)]),
            isProvisional: Int.random(in: 0..<4, using: &generator) == 0,
            within: verdict == .reauthenticationRequired
                ? .seconds(Int64(Int.random(in: 0..<100, using: &generator))) : Milliseconds(0),
            remark: UInt16(Int.random(in: 0..<65_536, using: &generator)),
            reading: UInt16(Int.random(in: 0..<4, using: &generator)) * 21_845,
            isHeard: Bool.random(using: &generator)
        )
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: width - digits.count) + digits
    }

    private static func hex(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// What decides of those against an id: of each kind, how far those cover that have not ended.
    private func reach(_ rows: [(StandingDecisions.Verdict, WallTime?, WallTime?)], _ now: WallTime) -> [Int64?] {
        [StandingDecisions.Verdict.revoked, .blocked, .reauthenticationRequired].map { verdict in
            rows.filter { $0.0 == verdict && $0.2.map { $0 > now } ?? true }.map { $0.1?.milliseconds ?? .max }.max()
        }
    }

    private func expectSame(_ compact: CompactDecisions, _ some: [Row], now: WallTime, among list: [Row]) {
        for row in some {
            let identity = Identity(user: row.field == .user ? row.id : "somebody", ids: [row.field: row.id])
            var found: [(StandingDecisions.Verdict, WallTime?, WallTime?)] = []
            compact.forEach(row.field, of: identity, now: now) { found.append(($0.verdict, $0.covers, $0.expires)) }
            let against = list.filter { $0.field == row.field && $0.id == row.id }
            #expect(reach(found, now) == reach(against.map { ($0.verdict, $0.covers, $0.expires) }, now))
            #expect(found.count <= CompactDecisions.longestChain)
        }
    }

    /// Against a list of rows: many ids with few decisions each, and few with many.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64], [false, true])
    func agreesWithAList(_ seed: UInt64, isCrowded: Bool) {
        var generator = SeededGenerator(seed: seed)
        var compact = CompactDecisions(lifetimes: lifetimes)
        var list: [Row] = []
        for number in 0..<3000 {
            if Int.random(in: 0..<3, using: &generator) > 0 || list.isEmpty {
                let new = row(number, &generator, isCrowded: isCrowded)
                let isTaken = compact.insert(new)
                #expect(isTaken)
                list.append(new)
            } else if Int.random(in: 0..<2, using: &generator) == 0 {
                let gone = list.remove(at: Int.random(in: 0..<list.count, using: &generator))
                let (first, second) = (compact.remove(gone.event), compact.remove(gone.event))
                #expect(first == gone && second == nil)
            } else {
                let place = Int.random(in: 0..<list.count, using: &generator)
                list[place].reading = UInt16(Int.random(in: 0..<4, using: &generator)) * 21_845
                list[place].isHeard.toggle()
                let changed = list[place]
                compact.setFound(reading: changed.reading, isHeard: changed.isHeard, of: changed.event)
            }
            if number % 500 == 0 {
                let now = WallTime(milliseconds: Int64(1_000_000 + Int.random(in: 0..<200_000, using: &generator)))
                expectSame(compact, Array(list.suffix(3)), now: now, among: list)
            }
        }
        #expect(compact.count == list.count)
        for (place, row) in list.enumerated() {
            #expect(compact.row(of: row.event) == row)
            // Against one of two ids are hundreds.
            guard !isCrowded || place % 100 == 0 else { continue }
            let against = list.filter { $0.field == row.field && $0.id == row.id }
            let found = compact.rows(row.field, row.id)
            #expect(found.sorted { $0.order < $1.order } == against)
        }
        expectSame(compact, Array(list.suffix(20)), now: WallTime(milliseconds: .min), among: list)
        // A few are left over: their pages are emptied, but for what the reading has not found.
        let full = compact.byteCount
        while list.count > 100 {
            let gone = list.remove(at: Int.random(in: 0..<list.count, using: &generator))
            let row = compact.remove(gone.event)
            #expect(row == gone)
        }
        for _ in 0..<20 { compact.gather(reading: 21_845) }
        expectSame(compact, list, now: WallTime(milliseconds: 1_010_000), among: list)
        for place in list.indices {
            list[place].reading = 21_845
            compact.setFound(reading: 21_845, isHeard: list[place].isHeard, of: list[place].event)
        }
        for _ in 0..<20 { compact.gather(reading: 21_845) }
        for row in list { #expect(compact.row(of: row.event) == row) }
        expectSame(compact, list, now: WallTime(milliseconds: 1_010_000), among: list)
        // Each life keeps an open page and at most one that it could not close.
        #expect(compact.pages.count { $0.live > 0 } <= 8)
        #expect(compact.byteCount <= full)
        var all: [Row] = []
        compact.forEachRow { all.append($0) }
        #expect(all.sorted { $0.order < $1.order } == list)
        // Everything that ends has ended; what never does stays.
        let end = WallTime(milliseconds: .max - 1)
        var forgotten = Set<Identifier>()
        for _ in 0..<200 { forgotten.formUnion(compact.expire(now: end)) }
        #expect(forgotten == Set(list.filter { $0.expires != nil }.map(\.event)))
        for row in list { #expect(compact.row(of: row.event) == (row.expires != nil ? nil : row)) }
        for row in list { _ = compact.remove(row.event) }
        #expect(compact.count == 0)
        var isEmpty = true
        compact.forEachRow { _ in isEmpty = false }
        #expect(isEmpty)
    }

    @Test func pagesOfTokensAreForgottenWhole() {
        var compact = CompactDecisions(lifetimes: lifetimes)
        func token(_ number: Int) -> Row {
            let order = Int64(number)
            return Row(
                verdict: .revoked,
                field: .token,
                id: Identifier("00000000-0000-4000-8000-" + Self.padded(number, 12)),
                covers: nil,
                order: order,
                expires: WallTime(milliseconds: order) + lifetimes.retention,
                event: Identifier("01J" + Self.padded(number, 23)),
                isProvisional: false,
                within: Milliseconds(0),
                remark: 1,
                reading: 1,
                isHeard: false
            )
        }
        for number in 0..<20_000 { _ = compact.insert(token(number)) }
        let full = compact.byteCount
        #expect(full <= 20_000 * 100)
        // The first half has ended.
        let middle = WallTime(milliseconds: 10_000) + lifetimes.retention
        var forgotten = 0
        for _ in 0..<100 { forgotten += compact.expire(now: middle).count }
        #expect(forgotten == 10_001)
        #expect(compact.count == 20_000 - forgotten)
        #expect(compact.row(of: token(19_999).event) == token(19_999))
        #expect(compact.row(of: token(0).event) == nil)
        // Their pages are given back, and used again.
        #expect(compact.byteCount < full * 2 / 3)
        for number in 20_000..<28_000 { _ = compact.insert(token(number)) }
        #expect(compact.byteCount <= full + (1 << 16))
    }

    @Test(arguments: [
        "01J00000000000000000000000", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01j00000000000000000000000", "01I00000000000000000000000", "", "h:", "h:" + String(repeating: "ab", count: 32),
        "h:" + String(repeating: "AB", count: 32), "h:" + String(repeating: "a", count: 63) + "g", "e",
        String(repeating: "é", count: 127),
    ])
    func idsOfEventsComeBackByteForByte(_ text: String) {
        let id = Array(text.utf8)
        var bytes: [UInt8] = [1, 2, 3]
        let form = PackedEventID.pack(id, to: &bytes)
        #expect(PackedEventID.unpack(form, bytes.span, at: 3) == id)
        #expect(PackedEventID.length(form, bytes.span, at: 3) == bytes.count - 3)
        #expect((form == .ulid) == (text == "01J00000000000000000000000" || text == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"))
    }
}

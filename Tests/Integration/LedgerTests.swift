import TestKit
import Testing

/// The checker finds what it is for.
struct LedgerTests {
    private let second: Int64 = 1_000_000_000

    private func ledger(_ last: Int64, end: Int64?) -> (Ledger, Int) {
        let ledger = Ledger()
        let client = ledger.open("mallory")
        ledger.note(.text("before"), client, at: 9 * second)
        ledger.note(.text("last"), client, at: last)
        if let end { ledger.note(.end, client, at: end) }
        return (ledger, client)
    }

    @Test func aKeptGuarantee() {
        let (ledger, client) = ledger(10 * second + Bounds.lease, end: 12 * second)
        #expect(ledger.violations(victim: client, decided: 10 * second, learnt: 11 * second).isEmpty)
    }

    @Test func aLateByte() {
        let late = 10 * second + Bounds.lease + Bounds.slack + Bounds.scheduling + 1
        let (ledger, client) = ledger(late, end: 12 * second)
        #expect(ledger.violations(victim: client, decided: 10 * second, learnt: 11 * second).count == 1)
    }

    @Test func aConnectionThatStays() {
        for end in [nil, 15 * second] {
            let (ledger, client) = ledger(10 * second, end: end)
            #expect(ledger.violations(victim: client, decided: 10 * second, learnt: 11 * second).count == 1)
        }
    }

    @Test func aStreamThatNeverWas() {
        let (ledger, client) = ledger(9 * second, end: 10 * second)
        #expect(ledger.violations(victim: client, decided: 9 * second - 1, learnt: 9 * second).count == 1)
    }

    @Test func aBystanderWhoIsClosed() {
        let (closed, client) = ledger(10 * second, end: 11 * second)
        #expect(closed.violations(bystander: client).count == 1)
        let (open, other) = ledger(10 * second, end: nil)
        #expect(open.violations(bystander: other).isEmpty)
    }
}

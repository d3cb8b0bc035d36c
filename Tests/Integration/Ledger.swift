import PortcullisReactor
import Synchronization
import TestKit

/// What the tests of this folder allow, in nanoseconds of CLOCK_BOOTTIME.
enum Bounds {
    /// L: short, so that a run is.
    static let lease: Int64 = 1_000_000_000
    /// e of the guarantee.
    static let slack: Int64 = 250_000_000
    /// Beside the guarantee's own: how late a thread of the test may be given a processor to note what has come.
    static let scheduling: Int64 = 500_000_000
    /// W.
    static let close: Int64 = 2_000_000_000
}

/// When what was decided, and all that every client received, with its time.
final class Ledger: Sendable {
    struct Line: Sendable {
        let at: Int64
        let what: WebSocketPeer.Received
    }

    /// One client's part.
    struct Account: Sendable {
        let name: String
        var lines: [Line] = []

        private func isApplication(_ line: Line) -> Bool {
            switch line.what {
            case .text, .binary: true
            case .ping, .pong, .close, .end: false
            }
        }

        /// When application bytes came.
        var application: [Int64] { lines.filter(isApplication).map(\.at) }
        var ended: Int64? { lines.first { $0.what == .end }?.at }
        var close: WebSocketPeer.Received? {
            lines.first { if case .close = $0.what { true } else { false } }?.what
        }
    }

    private let accounts = Mutex<[Account]>([])

    func open(_ name: String) -> Int {
        accounts.withLock {
            $0.append(Account(name: name))
            return $0.count - 1
        }
    }

    func note(_ what: WebSocketPeer.Received, _ account: Int, at time: Int64 = Clock.boot()) {
        accounts.withLock { $0[account].lines.append(Line(at: time, what: what)) }
    }

    subscript(account: Int) -> Account {
        accounts.withLock { $0[account] }
    }

    /// What breaks G2 for a client whose authority was taken away.
    /// - Parameters:
    ///   - decided: when Redis acknowledged it.
    ///   - within: L, and what a failover adds.
    ///   - learnt: when its gate could have learnt of it at the latest; its connection must be gone by W after that.
    func violations(victim: Int, decided: Int64, within: Int64 = Bounds.lease, learnt: Int64) -> [String] {
        let account = self[victim]
        var found: [String] = []
        let bound = decided + within + Bounds.slack + Bounds.scheduling
        let late = account.application.filter { $0 > bound }
        if let last = late.last {
            found.append("\(account.name) received \(late.count) late messages, to \((last - decided) / 1_000_000) ms")
        }
        // A client that got nothing before proves nothing.
        if account.application.count(where: { $0 <= decided }) == 0 { found.append("\(account.name) had no stream") }
        let gone = learnt + Bounds.close + Bounds.slack + Bounds.scheduling
        if account.ended ?? .max > gone {
            let when = account.ended.map { "\(($0 - decided) / 1_000_000) ms after the decision" } ?? "never"
            found.append("\(account.name)'s connection was gone \(when)")
        }
        return found
    }

    /// What breaks G6 for a client whom nothing concerned.
    func violations(bystander: Int) -> [String] {
        let account = self[bystander]
        guard account.close != nil || account.ended != nil else { return [] }
        return ["\(account.name) was closed: \(account.close.map { "\($0)" } ?? "without a word")"]
    }
}

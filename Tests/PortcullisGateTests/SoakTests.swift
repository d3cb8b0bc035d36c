import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Synchronization
import TestKit
import Testing

@testable import PortcullisGate

/// Connections that come and go in every way there is, round after round: nothing of them stays behind in any table of any loop.
@Suite(.serialized) struct SoakTests {
    enum Listener: CaseIterable {
        case plain
        case secured
        case proxied
    }

    private static let rounds = 3
    private let certificates: Certificates

    init() throws {
        certificates = try Certificates()
    }

    @Test(arguments: Listener.allCases) func nothingStaysBehind(_ listener: Listener) throws {
        let context = try certificates.server()
        let test = try GateUnderTest {
            $0.handshake = .seconds(5)
            // Floods are held back, and cut off before the test has to wait for them.
            $0.rates = ConnectionRates(messages: 20, bytes: 0, control: 0)
            $0.longestHolding = Milliseconds(300)
            $0.userCap = UserCap(connections: 1000)
            $0.credentials = CredentialSource(tokens: [.header, .firstMessage])
            $0.sessions?.bind = [.userAgent]
            if listener == .secured { $0.tls = context }
            if listener == .proxied {
                $0.forwarding = Forwarding(trusted: ["127.0.0.0/8"].compactMap { IPNetwork($0) })
                $0.proxyProtocol = .v2
                $0.throttle = .init(failuresPerMinute: 100_000, connections: 10_000, throttlesPrivate: true)
            }
        }
        let visitors = Visitors(test, listener == .secured ? try certificates.client() : nil, listener == .proxied)
        let before = try census(of: test.gate)
        for round in 0..<Self.rounds {
            var here = try visitors.come(round)
            let during = try census(of: test.gate)
            #expect(during["connections"] ?? 0 >= here.live && here.live > 5)
            #expect(during["memberships"] ?? 0 > 5)
            try visitors.leave(&here, round)
            var last: [String: Int] = [:]
            do {
                try test.wait("all is as it was") {
                    last = try census(of: test.gate)
                    return last == before
                }
            } catch {
                let left = last.filter { before[$0.key] != $0.value }
                Issue.record("round \(round): \(left)")
                return
            }
        }
        #expect(try visitors.open("bob").status == 101)
    }

    /// The sum over all loops.
    private func census(of gate: Gate) throws -> [String: Int] {
        let counts = Counts()
        for mailbox in gate.shared.mailboxes { mailbox.post(.count { counts.add($0) }) }
        let loops = gate.shared.mailboxes.count
        while counts.loops < loops { Thread.sleep(forTimeInterval: 0.001) }
        return counts.sum
    }

    private final class Counts: Sendable {
        private let state = Mutex<(sum: [String: Int], loops: Int)>(([:], 0))

        var sum: [String: Int] { state.withLock { $0.sum } }
        var loops: Int { state.withLock { $0.loops } }

        func add(_ census: [String: Int]) {
            state.withLock {
                $0.sum.merge(census, uniquingKeysWith: +)
                $0.loops += 1
            }
        }
    }
}

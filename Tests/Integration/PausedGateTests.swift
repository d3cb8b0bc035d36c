import Foundation
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

extension Chaos {
    /// A gate that is stopped for longer than the lease with pushes queued for clients that do not read.
    @Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: GateProcess.program)))
    struct PausedGateTests {
        private static let count = 400
        /// How many are on their way at a time: beside more of them a probe would wait too long, and what is said meanwhile be lost.
        private static let batch = 10
        /// Of the process: one that a busy machine does not lose by itself.
        private static let lease: Int64 = 3_000_000_000

        /// What the kernel had accepted before is the client's; all that comes when the gate runs again would be a leak.
        @Test func nothingComesBeforeTheLogIsRead() throws {
            try Chaos.measured {
                let world = try World()
                let process = try GateProcess(
                    world.redis,
                    secret: World.secret,
                    settings: """
                        guarantee: {lease: 3s}
                        limits: {send_queue: 64MiB, heartbeat: 10m}
                        """
                )
                let (endpoint, ledger, signal) = (try process.endpoint(), world.ledger, [Signal(), Signal()])
                func client(_ name: String, _ user: String, _ signal: Signal?) throws -> Client {
                    let token = try world.token(user)
                    return try Client(name, endpoint, path: "/ws/doc:0", token: token, ledger, readsAfter: signal)
                }
                let victim = try client("mallory at the process", "mallory", signal[0])
                let bystander = try client("alice at the process", "alice", signal[1])
                let witness = try client("the witness", "carol", nil)
                // Four, so that none needs more than its burst.
                let token = try world.token("speaker")
                let speakers = try (0..<4).map { _ in
                    try WebSocketPeer(endpoint, path: "/ws/doc:0", headers: ["Authorization: Bearer \(token)"])
                }
                // The world's own speaker is heard here too where rooms span gates: what is large is counted.
                let text = String(repeating: "x", count: 64 << 10)
                func received(_ client: Client) -> Int {
                    ledger[client.account].lines.count {
                        if case .text(let said) = $0.what { said.utf8.count == text.utf8.count } else { false }
                    }
                }
                for index in 0..<Self.count {
                    try speakers[index % speakers.count].send(text: text)
                    guard (index + 1) % Self.batch == 0 else { continue }
                    try world.wait("\(index + 1) are queued") { received(witness) == index + 1 }
                }

                try process.pause()
                let decided = try world.revoke()
                for signal in signal { signal.give() }
                world.pass(Self.lease, since: decided)
                var last = -1
                try world.wait("the kernel's buffers are empty") {
                    let now = received(victim) + received(bystander)
                    defer { last = now }
                    Thread.sleep(forTimeInterval: 1)
                    return now == last
                }
                #expect(received(victim) < Self.count)
                let resumed = Clock.boot()
                process.resume()

                try world.wait("mallory is gone") { ledger[victim.account].ended != nil }
                let leaked = ledger[victim.account].application.count { $0 > resumed }
                #expect(leaked == 0)
                let gone = (ledger[victim.account].ended ?? .max) - resumed
                let isInTime = gone < Bounds.close + Bounds.slack + Bounds.scheduling
                let broken = isInTime ? [] : ["mallory went after \(gone) ns"]
                #expect(try world.checked(broken, resumed) == [])
                try world.wait("alice has all") { received(bystander) == Self.count }
                #expect(ledger.violations(bystander: bystander.account).isEmpty)
                let peer = try WebSocketPeer(endpoint, headers: ["Authorization: Bearer \(victim.token)"])
                #expect(peer.status == 401)
            }
        }
    }
}

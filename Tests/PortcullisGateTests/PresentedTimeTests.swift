import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import Synchronization
import Testing

@testable import PortcullisGate

/// A credential counts as issued no later than it is shown, by the clock that dates decisions: this machine's may be ahead.
@Suite struct PresentedTimeTests {
    /// A loop that no thread runs, of a gate whose wall clock is ahead of Redis'.
    private func loop(ahead: Milliseconds) throws -> GateLoop {
        let secret = GateUnderTest.secret
        let key = try SigningKey(secret: secret.span, algorithm: .hs256, source: "the test")
        let configuration = GateConfiguration(
            listen: .tcp(address: "127.0.0.1", port: 0),
            loops: 2,
            node: "test",
            redis: RedisURL(place: .path("/nonexistent")),
            tokens: try TokenPolicy(issuers: [TokenIssuer(keys: try KeySet([key.verificationKey]))])
        )
        let mailboxes: [Mailbox<LoopMessage>] = [try Mailbox(), try Mailbox()]
        let shared = GateShared(configuration, instance: 1, mailboxes: mailboxes) { _ in }
        step(shared, ahead: ahead)
        return try GateLoop(index: 1, shared: shared, listener: nil)
    }

    private func step(_ shared: GateShared, ahead: Milliseconds) {
        let offset = Clock.wall() - Clock.boot() / 1_000_000
        shared.redisClock.store(offset - ahead.count, ordering: .relaxed)
    }

    private func shown(_ loop: GateLoop, slot: UInt32, issued: WallTime) throws -> Identity {
        let (stream, identity) = (StreamID(slot: slot, generation: 1), Identity(user: "alice", issued: issued))
        loop.turnBegan()
        loop.accepted(stream, from: nil)
        try loop.register(stream, identity)
        return identity
    }

    private func isRefused(_ loop: GateLoop, slot: UInt32, _ identity: Identity) -> Outcome? {
        do throws(Refusal) {
            try loop.checkStanding(slot, identity)
            return nil
        } catch {
            return error.outcome
        }
    }

    @Test(arguments: [0, 20_000, -20_000] as [Int64]) func aClockAheadRevivesNothing(ahead: Int64) throws {
        let loop = try loop(ahead: Milliseconds(ahead))
        // An issuer whose clock is ahead as well.
        let issued = WallTime(milliseconds: Clock.wall() + 30_000)
        let identity = try shown(loop, slot: 0, issued: issued)
        let select = Selector(ids: [.user: "alice"])
        // Behind what is under way: the wall clock may be read a little later than it was.
        let order = loop.shared.redisTime().milliseconds + 50
        let revoke = Decision.revoke(.init(select: select, issuedBefore: .append))
        loop.shared.standing.withLock { $0.apply(revoke, event: "e1", order: order) }
        #expect(isRefused(loop, slot: 0, identity) == .revoked)
        // Nor does a step of the clock between the registration and the check.
        step(loop.shared, ahead: Milliseconds(ahead - 60_000))
        loop.turnBegan()
        #expect(isRefused(loop, slot: 0, identity) == .revoked)
        // Who signs in after the revocation, by both clocks, may come.
        let later = try shown(loop, slot: 1, issued: issued)
        let mayCome = loop.shared.presented(wall: loop.wall).milliseconds > order
        #expect((isRefused(loop, slot: 1, later) == nil) == mayCome)
        if ahead > 0 { #expect(mayCome) }
    }
}

import Foundation
import PortcullisGate
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// Whether the loops turn.
@Suite(.serialized) struct PulseTests {
    @Test func everyLoopAnswers() async throws {
        let test = try GateUnderTest(loops: 3)
        for _ in 0..<3 {
            await withCheckedContinuation { continuation in test.gate.pulse { continuation.resume() } }
        }
    }

    /// One loop that hangs is enough for silence.
    @Test func aLoopThatHangsDoesNot() throws {
        let redis = try RedisServer()
        let secret = GateUnderTest.secret
        let key = try SigningKey(secret: secret.span, algorithm: .hs256, source: "the test")
        let policy = try TokenPolicy(issuers: [TokenIssuer(keys: try KeySet([key.verificationKey]))])
        let (hangs, goesOn, answered) = (
            DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)
        )
        let gate = try Gate(
            GateConfiguration(
                listen: .tcp(address: "127.0.0.1", port: 0),
                loops: 2,
                node: "test",
                redis: redis.url,
                tokens: policy
            )
        ) { report in
            guard case .refused = report else { return }
            hangs.signal()
            goesOn.wait()
        }
        let knocking = try BlockingSocket(gate.endpoint, timeout: 10_000)
        try knocking.write(Array("nonsense\r\n\r\n".utf8))
        hangs.wait()
        gate.pulse { answered.signal() }
        #expect(answered.wait(timeout: .now() + 0.3) == .timedOut)
        goesOn.signal()
        #expect(answered.wait(timeout: .now() + 10) == .success)
        gate.stop()
    }
}

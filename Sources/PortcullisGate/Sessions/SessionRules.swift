import PortcullisCore
import PortcullisRedis
import PortcullisWire

/// What is configured about sessions, in the form in which a loop uses it with each handshake: one object, because a policy is a dozen references
/// that would be counted with each look at it. The uplink has its loop's.
final class SessionRules: Sendable {
    let key: SessionKey
    let codec: SessionCodec
    let longestLife: Milliseconds
    let bind: SessionBinding
    let touches: Bool
    let sweep: Milliseconds
    let reading: SessionReading

    init(_ policy: SessionPolicy) {
        key = policy.key
        codec = policy.codec
        longestLife = policy.longestLife
        bind = policy.bind
        touches = policy.touches
        sweep = policy.sweep
        reading = SessionReading(isHash: policy.codec.format == .hash)
    }
}

import PortcullisCore
import PortcullisTokens

/// Gives every key of the policies that follow each other a number of its own, so that a connection can be held to the key that
/// admitted it in four bytes. The `kid` would not do: two issuers may use the same one, and a key without a name answers to any.
struct KeyRegister {
    private struct Entry {
        let issuer: Identifier?
        let key: VerificationKey
        let serial: UInt32
    }

    /// The keys of the policy that was entered last: as many as that has.
    private var entries: [Entry] = []
    private var last: UInt32 = 0
    /// Of all policies that follow each other.
    let counts = VerifiedTokenCounts()

    /// Takes in the next policy. A key that was there before, of the same issuer, keeps its number under whatever name.
    mutating func enter(_ policy: TokenPolicy) -> KeysInForce {
        var next: [Entry] = []
        var serials: [[UInt32]] = []
        for issuer in policy.issuers {
            serials.append(
                issuer.keys.keys.map { key in
                    let known = entries.first { $0.issuer == issuer.issuer && $0.key.isSameKey(as: key) }
                    let serial = known?.serial ?? nextSerial()
                    next.append(Entry(issuer: issuer.issuer, key: key, serial: serial))
                    return serial
                }
            )
        }
        entries = next
        return KeysInForce(
            policy: policy,
            serials: serials,
            remembered: VerifiedTokens(for: policy, counts: counts)
        )
    }

    private mutating func nextSerial() -> UInt32 {
        last &+= 1
        if last == KeysInForce.none { last = 1 }
        return last
    }
}

/// A policy, and the numbers of its keys.
struct KeysInForce: Sendable {
    /// The number of no key: the connection was admitted by something else than a token.
    static let none = UInt32(0)

    let policy: TokenPolicy
    let serials: [[UInt32]]
    /// What all loops have verified by this policy: it comes and goes with it.
    let remembered: VerifiedTokens?
    private let all: Set<UInt32>

    init(policy: TokenPolicy, serials: [[UInt32]], remembered: VerifiedTokens?) {
        self.policy = policy
        self.serials = serials
        self.remembered = remembered
        all = Set(serials.joined())
    }

    /// The number of the key that verified a token under this policy.
    func serial(of token: VerifiedToken) -> UInt32 {
        guard serials.indices.contains(token.issuer), serials[token.issuer].indices.contains(token.keyIndex) else {
            return Self.none
        }
        return serials[token.issuer][token.keyIndex]
    }

    /// What verifies tokens by this policy, for one loop.
    var verifier: TokenVerifier {
        TokenVerifier(policy, remembering: remembered)
    }

    /// Whether a connection's key still counts.
    func covers(_ serial: UInt32) -> Bool {
        serial == Self.none || all.contains(serial)
    }
}

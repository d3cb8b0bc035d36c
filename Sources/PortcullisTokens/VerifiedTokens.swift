import PortcullisCore
import PortcullisCrypto
public import Synchronization

/// Tokens whose signatures were found valid, by SHA-256 of their every byte: when all clients come back at once, as many signatures need not
/// be verified again. What is not remembered: whether a token is revoked, and whether it counts at this moment. Both are asked each time.
///
/// One a process, under a lock that is held for a look-up in memory, as the replica's is. The kernel spreads clients who come back over the
/// loops anew: one for each loop would miss all of them but one in so many, and take so many times the memory.
///
/// It belongs to one policy, and is replaced with it: whatever changes of keys, issuers or rules, nothing that was judged by others is left.
public final class VerifiedTokens: Sendable {
    /// What is remembered takes no more than this, in bytes.
    static let mostBytes = 16 << 20

    private let table: Mutex<VerifiedTokenTable>
    private let counts: VerifiedTokenCounts

    /// - Parameter counts: which go on counting when a policy is replaced.
    /// - Returns: nil where the policy wants none remembered, or has no key whose signatures cost more than a look-up.
    public convenience init?(for policy: TokenPolicy, counts: VerifiedTokenCounts) {
        guard policy.remembers > 0, policy.issuers.contains(where: { $0.keys.keys.contains(where: \.isPair) }) else {
            return nil
        }
        self.init(capacity: policy.remembers, mostBytes: Self.mostBytes, counts: counts)
    }

    init(capacity: Int, mostBytes: Int, counts: VerifiedTokenCounts) {
        table = Mutex(VerifiedTokenTable(capacity: capacity, mostBytes: mostBytes))
        self.counts = counts
    }

    func find(_ digest: TokenDigest, _ now: WallTime) -> VerifiedToken? {
        let found = table.withLock { $0.find(digest, now) }
        if found == nil {
            counts.misses.add(1, ordering: .relaxed)
        } else {
            counts.hits.add(1, ordering: .relaxed)
        }
        return found
    }

    func remember(_ token: VerifiedToken, _ digest: TokenDigest, _ now: WallTime) {
        table.withLock { $0.insert(token, digest, now) }
    }

    /// How many are remembered, and what they take.
    var size: (count: Int, bytes: Int) {
        table.withLock { ($0.count, $0.bytes) }
    }
}

/// How often a token was found among those that are remembered, and how often not.
public final class VerifiedTokenCounts: Sendable {
    public let hits = Atomic<Int>(0)
    public let misses = Atomic<Int>(0)

    public init() {}
}

/// SHA-256 of a token.
struct TokenDigest: Hashable {
    let bytes: (UInt64, UInt64, UInt64, UInt64)

    init(_ digest: [32 of UInt8]) {
        func word(_ index: Int) -> UInt64 {
            var word: UInt64 = 0
            for at in index * 8..<index * 8 + 8 { word = word << 8 | UInt64(digest[at]) }
            return word
        }
        bytes = (word(0), word(1), word(2), word(3))
    }

    static func == (one: TokenDigest, other: TokenDigest) -> Bool {
        one.bytes == other.bytes
    }

    /// A part is as good as the whole: only tokens that somebody with a key has signed are entered.
    func hash(into hasher: inout Hasher) {
        hasher.combine(bytes.0)
    }
}

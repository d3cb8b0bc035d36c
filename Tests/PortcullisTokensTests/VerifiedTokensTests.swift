import AllocationCounter
import PortcullisCore
import PortcullisCrypto
import Synchronization
import Testing

@testable import PortcullisTokens

/// A verifier that remembers, with a new key, and one of the same policy that does not.
private struct Remembering {
    let signer: TokenSigner
    let policy: TokenPolicy
    let counts = VerifiedTokenCounts()
    let tokens: VerifiedTokens
    let judge: TokenVerifier
    let forgetful: TokenVerifier

    init(
        _ algorithm: Algorithm,
        leeway: Milliseconds = .seconds(30),
        longestLife: Milliseconds = .seconds(86_400)
    ) throws {
        let (signer, key) = try pair(algorithm)
        self.signer = signer
        policy = try TokenPolicy(
            issuers: [TokenIssuer(keys: KeySet([key]))],
            leeway: leeway,
            longestLife: longestLife
        )
        tokens = VerifiedTokens(capacity: 100, mostBytes: 1 << 20, counts: counts)
        judge = TokenVerifier(policy, remembering: tokens)
        forgetful = TokenVerifier(policy)
    }

    var hits: Int { counts.hits.load(ordering: .relaxed) }
    var misses: Int { counts.misses.load(ordering: .relaxed) }
}

@Suite("Tokens that are remembered")
struct VerifiedTokensTests {
    @Test(
        "A token that is shown again is not verified again, and opens the same identity",
        arguments: Algorithm.allCases
    )
    func again(_ algorithm: Algorithm) throws {
        let test = try Remembering(algorithm)
        let token = try test.signer.sign(payload: claimsOfAlice)
        let first = try test.judge.accept(token)
        let second = try test.judge.accept(token)
        #expect(second.identity.user == "alice" && second.expires == first.expires)
        let hash = TokenVerifier.hash(token.span)
        #expect(second.identity[.tokenHash] == hash)
        #expect(test.judge.claimsJSON == claimsOfAlice)
        if algorithm.hmac != nil {
            // Computing a code costs what the look-up would.
            #expect(test.misses == 0 && test.hits == 0 && test.tokens.size.count == 0)
        } else {
            #expect(test.misses == 1 && test.hits == 1 && test.tokens.size.count == 1)
            #expect(first.identity === second.identity)
        }
        // Another verifier of the policy, as each loop has one.
        let other = TokenVerifier(test.policy, remembering: test.tokens)
        #expect(try other.accept(token).identity[.key] == first.identity[.key])
        #expect(test.hits == (algorithm.hmac == nil ? 2 : 0))
    }

    @Test(
        "A token with any other byte is refused as if nothing were remembered",
        arguments: [Algorithm.es256, .rs256, .eddsa]
    )
    func everyByte(_ algorithm: Algorithm) throws {
        let test = try Remembering(algorithm)
        let token = try test.signer.sign(payload: claimsOfAlice)
        _ = try test.judge.accept(token)
        for at in token.indices {
            for bit in [UInt8(0x01), 0x02, 0x20] {
                var other = token
                other[at] ^= bit
                let outcome = test.judge.refusal(other)
                #expect(outcome != nil && outcome == test.forgetful.refusal(other), "byte \(at)")
            }
        }
        for other in [token + [UInt8(ascii: "A")], Array(token.dropLast()), Array(token.dropFirst())] {
            #expect(test.judge.refusal(other) == test.forgetful.refusal(other))
        }
        #expect(test.hits == 0 && test.tokens.size.count == 1)
        #expect(test.judge.refusal(token) == nil && test.hits == 1)
    }

    @Test("When it counts is judged anew")
    func times() throws {
        let test = try Remembering(.es256, leeway: .seconds(10), longestLife: .seconds(1000))
        func refusal(_ token: [UInt8], _ seconds: Int64) -> Outcome? {
            test.judge.refusal(token, now: noon + .seconds(seconds))
        }
        let early = try test.signer.sign(payload: claims(["iat": "1767268790", "nbf": "1767268795"]))
        #expect(refusal(early, 0) == nil)
        #expect(refusal(early, -16) == .notYetValid, "nbf")
        let issued = try test.signer.sign(payload: claims(["iat": "1767268795"]))
        #expect(refusal(issued, 0) == nil)
        #expect(refusal(issued, -16) == .notYetValid, "iat")
        // Without `iat` its life counts from now.
        let undated = try test.signer.sign(payload: claims(["iat": "", "exp": "1767269700"]))
        #expect(refusal(undated, 0) == nil)
        #expect(refusal(undated, -101) == .lifeTooLong)
        #expect(test.hits == 3 && test.tokens.size.count == 3)
        #expect(refusal(undated, 900) == .expired)
        #expect(refusal(early, 300) == .expired)
        // What has ended is not kept.
        #expect(test.hits == 5 && test.tokens.size.count == 1)
        #expect(refusal(undated, 900) == .expired && test.hits == 5)
    }

    @Test("What was refused is not remembered")
    func refused() throws {
        let test = try Remembering(.es256)
        for payload in [claims(["exp": "1767268799"]), claims(["sub": ""]), claims(["nbf": "1767268900"])] {
            #expect(test.judge.refusal(try test.signer.sign(payload: payload)) != nil)
        }
        #expect(test.tokens.size.count == 0)
    }

    @Test("Where there is nothing to gain none are remembered")
    func none() throws {
        let (pair, secret) = (try pair(.es256).key, try pair(.hs256).key)
        func tokens(_ keys: [VerificationKey], remembers: Int = 10) throws -> VerifiedTokens? {
            let policy = try TokenPolicy(issuers: [TokenIssuer(keys: KeySet(keys))], remembers: remembers)
            return VerifiedTokens(for: policy, counts: VerifiedTokenCounts())
        }
        #expect(try tokens([pair]) != nil && tokens([secret, pair]) != nil)
        #expect(try tokens([secret]) == nil)
        #expect(try tokens([pair], remembers: 0) == nil)
    }

    /// What a verifier allocates for a token that it knows is what OpenSSL takes for a hash.
    @Test("A known token allocates nothing", .enabled(if: allocations_are_counted()))
    func allocations() throws {
        let test = try Remembering(.es256)
        let token = try test.signer.sign(payload: claimsOfAlice)
        func count(_ work: () throws -> Void) rethrows -> UInt64 {
            for _ in 0..<3 { try work() }
            let before = allocations_so_far()
            for _ in 0..<10 { try work() }
            return allocations_so_far() - before
        }
        let bare = count { _ = SHA256.digest(token.span) }
        let known = try count { _ = try test.judge.verify(token.span, now: noon) }
        #expect(known == bare)
        #expect(test.hits == 12)
    }
}

@Suite("The table of tokens that are remembered")
struct VerifiedTokenTableTests {
    private let key: VerificationKey

    init() throws {
        key = try pair(.es256).key
    }

    private func token(_ user: Identifier, life: Int64 = 600) -> VerifiedToken {
        VerifiedToken(
            identity: Identity(user: user),
            expires: noon + .seconds(life),
            notBefore: nil,
            version: nil,
            key: key,
            issuer: 0,
            keyIndex: 0
        )
    }

    private func digest(_ number: Int) -> TokenDigest {
        var bytes = [32 of UInt8](repeating: 0)
        // All begin alike: the hash of the table is the same for all.
        for at in 0..<8 { bytes[24 + at] = UInt8(truncatingIfNeeded: number >> (8 * at)) }
        return TokenDigest(bytes)
    }

    @Test("It holds no more than it may")
    func bounds() {
        var table = VerifiedTokenTable(capacity: 5, mostBytes: 1 << 20)
        for number in 0..<100 {
            table.insert(token("user"), digest(number), noon)
            #expect(table.count == min(number + 1, 5))
            #expect(table.find(digest(number), noon) != nil)
        }
        #expect((0..<100).count { table.find(digest($0), noon) != nil } == 5)
        var none = VerifiedTokenTable(capacity: 0, mostBytes: 1 << 20)
        none.insert(token("user"), digest(1), noon)
        #expect(none.count == 0 && none.bytes == 0)
    }

    @Test("It takes no more memory than it may")
    func memory() {
        var table = VerifiedTokenTable(capacity: 1000, mostBytes: 20_000)
        let long = Identifier(bytes: [UInt8](repeating: UInt8(ascii: "u"), count: 200))
        for number in 0..<200 {
            table.insert(token(number % 3 == 0 ? long : "u"), digest(number), noon)
            #expect(table.bytes <= 20_000)
        }
        #expect(table.count > 10)
        #expect(table.find(digest(199), noon) != nil)
        for number in 0..<200 { _ = table.find(digest(number), noon + .seconds(600)) }
        #expect(table.count == 0 && table.bytes == 0)
        var small = VerifiedTokenTable(capacity: 1000, mostBytes: 100)
        small.insert(token(long), digest(1), noon)
        #expect(small.count == 0)
    }

    @Test("Tokens that come once do not push out those that come again")
    func flood() {
        var table = VerifiedTokenTable(capacity: 100, mostBytes: 1 << 20)
        for number in 0..<50 { table.insert(token("regular"), digest(number), noon) }
        for number in 0..<50 { _ = table.find(digest(number), noon) }
        for number in 1000..<1090 { table.insert(token("once"), digest(number), noon) }
        #expect((0..<50).allSatisfy { table.find(digest($0), noon) != nil })
        // And nobody stays for ever who is not asked for.
        for number in 2000..<4000 { table.insert(token("once"), digest(number), noon) }
        #expect((0..<50).allSatisfy { table.find(digest($0), noon) == nil })
        #expect((3901..<4000).allSatisfy { table.find(digest($0), noon) != nil })
    }

    @Test("What has ended makes room first")
    func ended() {
        var table = VerifiedTokenTable(capacity: 4, mostBytes: 1 << 20)
        for number in 0..<4 { table.insert(token("user", life: number == 3 ? 10 : 600), digest(number), noon) }
        for _ in 0..<3 { for number in 0..<4 { _ = table.find(digest(number), noon) } }
        table.insert(token("new"), digest(4), noon + .seconds(10))
        #expect(table.find(digest(3), noon) == nil)
        #expect((0..<3).allSatisfy { table.find(digest($0), noon) != nil })
    }

    @Test("Twice is once")
    func twice() {
        var table = VerifiedTokenTable(capacity: 4, mostBytes: 1 << 20)
        table.insert(token("first"), digest(1), noon)
        let bytes = table.bytes
        table.insert(token("second"), digest(1), noon)
        #expect(table.count == 1 && table.bytes == bytes)
        #expect(table.find(digest(1), noon)?.identity.user == "first")
    }
}

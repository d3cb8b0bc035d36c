import PortcullisCore
import PortcullisTokens

/// The first byte chooses: the rest is a token, or a payload that is signed first, so that the claims are reached.
///
/// Nobody without a key makes a token, and what a verifier has judged before changes no verdict.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzToken(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    guard let mode = bytes.first, let bench else { return 0 }
    let rest = Array(bytes.dropFirst())
    let pair = mode & 1 == 0 ? bench.hmac : bench.curve
    if mode & 2 == 0 {
        let verdict = pair.verdict(rest)
        guard case .failure(let refusal) = verdict else {
            preconditionFailure("a token that nobody signed is accepted")
        }
        precondition(pair.verifier.claimsJSON.isEmpty)
        precondition(refusal == pair.freshVerdict(rest).refusal, "the verdict depends on what came before")
        precondition(refusal.outcome.row.status == 401)
    } else {
        guard let token = try? bench.hmac.signer?.sign(payload: rest) else { return 0 }
        let verdict = bench.hmac.verdict(token)
        precondition(verdict.refusal == bench.hmac.freshVerdict(token).refusal)
        if token.count <= 8192 { precondition(verdict.refusal?.outcome != .badSignature) }
        if case .success(let verified) = verdict {
            precondition(verified.expires > now)
            precondition(verified.identity.user.isWellFormed)
            precondition(bench.hmac.verifier.claimsJSON == rest)
            // The same claims under a signature that lacks a bit are none.
            var forged = token
            forged[forged.count - 2] ^= 1
            if case .success = bench.hmac.verdict(forged) { preconditionFailure("a forged token is accepted") }
        }
    }
    return 0
}

private let now = WallTime(milliseconds: 1_767_268_800_000)

private struct Pair {
    let policy: TokenPolicy
    let verifier: TokenVerifier
    let signer: TokenSigner?

    init(_ key: VerificationKey, signer: TokenSigner?) throws {
        policy = try TokenPolicy(issuers: [TokenIssuer(keys: KeySet([key]))])
        verifier = TokenVerifier(policy)
        self.signer = signer
    }

    func verdict(_ token: [UInt8]) -> Result<VerifiedToken, Refusal> {
        judge(token, verifier)
    }

    func freshVerdict(_ token: [UInt8]) -> Result<VerifiedToken, Refusal> {
        judge(token, TokenVerifier(policy))
    }

    private func judge(_ token: [UInt8], _ verifier: TokenVerifier) -> Result<VerifiedToken, Refusal> {
        do throws(Refusal) {
            return .success(try verifier.verify(token.span, now: now))
        } catch {
            return .failure(error)
        }
    }
}

extension Result where Failure == Refusal {
    fileprivate var refusal: Refusal? {
        if case .failure(let refusal) = self { refusal } else { nil }
    }
}

private struct Bench {
    let hmac: Pair
    let curve: Pair

    init() throws {
        let secret = Array("a secret of the fuzzer, long enough for the algorithm it is used with".utf8)
        let key = try SigningKey(secret: secret.span, algorithm: .hs256)
        hmac = try Pair(key.verificationKey, signer: TokenSigner(key))
        // The key of RFC 7515, appendix A.3.
        let jwk = """
            {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",\
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
            """
        curve = try Pair(KeySet.jwks(Array(jwk.utf8)).keys[0], signer: nil)
    }
}

// libFuzzer calls from one thread.
private nonisolated(unsafe) let bench: Bench? = {
    do {
        return try Bench()
    } catch {
        preconditionFailure("the keys cannot be set up: \(error)")
    }
}()

import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// What a verifier works with: its policy, buffers, parsers and the contexts of its keys.
///
/// Where a span of a buffer is lent to a method, a local constant holds the buffer: it costs a reference and no copy.
struct TokenWork: ~Copyable {
    let policy: TokenPolicy
    /// The names of each issuer's claims.
    let tables: [ClaimTable]
    /// For each issuer's keys, made when first needed.
    private var contexts: [[KeyContext?]]

    private var headerJSON = StrictJSON(maximumDepth: 4)
    var payloadJSON = StrictJSON(maximumDepth: 16)
    private var header: [UInt8]
    var payload: [UInt8]
    private var signature: [UInt8]
    /// How much of `payload` is the payload of a token whose signature is valid.
    var payloadCount = 0
    /// The key that the token that was refused last names, where it may still come.
    private(set) var unknownKey: UnknownKey?
    /// The header of the token that was verified last: most tokens of an issuer have the same.
    private var known: KnownHeader?

    /// The key that a token means.
    struct Choice {
        let issuer: Int
        let key: Int
        /// The name that the key has, or else what the token calls it: the signature covers that.
        var kid: Identifier?
        /// Where the header has that name, until it is copied.
        let kidNode: Int?
    }

    private struct KnownHeader {
        let text: [UInt8]
        let choice: Choice
    }

    init(_ policy: TokenPolicy) {
        self.policy = policy
        self.tables = policy.issuers.map { ClaimTable($0.claims) }
        self.contexts = policy.issuers.map { Array(repeating: nil, count: $0.keys.keys.count) }
        let size = Base64URL.decodedCount(policy.maximumLength)
        self.header = Array(repeating: 0, count: size)
        self.payload = Array(repeating: 0, count: size)
        self.signature = Array(repeating: 0, count: size)
    }

    var authenticPayload: [UInt8] {
        Array(payload.prefix(payloadCount))
    }

    /// A token whose shape and header were judged, and that nobody has verified yet.
    struct Reading {
        let compact: CompactToken
        let choice: Choice
        /// Whether the header is the one that is kept.
        let isKnown: Bool
        /// How much of the buffers its payload and its signature take.
        let payloadCount: Int
        let signatureCount: Int
    }

    /// Judges shape and header, and finds the key that the token means.
    mutating func read(_ token: Span<UInt8>) throws(Refusal) -> Reading {
        payloadCount = 0
        let compact = try CompactToken(token, maximumLength: policy.maximumLength)
        guard let count = Base64URL.decode(token.extracting(compact.payload), into: &payload) else {
            throw Refusal(.malformedToken, "The token's payload is not base64url.")
        }
        guard let signatureCount = Base64URL.decode(token.extracting(compact.signature), into: &signature) else {
            throw Refusal(.malformedToken, "The token's signature is not base64url.")
        }
        let text = token.extracting(compact.header)
        let isKnown = isKnown(text)
        let choice = if isKnown, let known { known.choice } else { try choose(text, count) }
        return Reading(
            compact: compact,
            choice: choice,
            isKnown: isKnown,
            payloadCount: count,
            signatureCount: signatureCount
        )
    }

    /// Judges the signature of the token that was read last.
    /// - Parameter parsesPayload: whether the payload is left parsed.
    mutating func authenticate(
        _ token: Span<UInt8>,
        _ reading: Reading,
        parsesPayload: Bool
    ) throws(Refusal) -> Choice {
        let context = try context(reading.choice)
        let signature = signature
        let isValid = context.isValid(
            signature.span.extracting(first: reading.signatureCount),
            of: token.extracting(reading.compact.signed)
        )
        guard isValid else { throw Refusal(.badSignature, "The token's signature is not valid.") }
        var choice = reading.choice
        if !reading.isKnown {
            // Not before: a name may be long, and nobody has vouched for it.
            if let node = choice.kidNode {
                let header = header
                choice.kid = headerJSON.string(node, in: header.span)
            }
            remember(token.extracting(reading.compact.header), choice)
        }
        if parsesPayload, policy.issuers.count == 1 { try parsePayload(reading.payloadCount) }
        payloadCount = reading.payloadCount
        return choice
    }

    /// The token that was read last is one that was verified before.
    mutating func knowAuthentic(_ reading: Reading) {
        payloadCount = reading.payloadCount
    }

    func key(of choice: Choice) -> VerificationKey {
        policy.issuers[choice.issuer].keys.keys[choice.key]
    }

    // MARK: - Header and key

    private func isKnown(_ text: Span<UInt8>) -> Bool {
        guard let known else { return false }
        return known.text.span.isSame(as: text)
    }

    /// Keeps a header whose token is authentic, so that nobody without a key can push it out. Not where a claim has its part in the
    /// choice.
    private mutating func remember(_ text: Span<UInt8>, _ choice: Choice) {
        guard policy.issuers.count == 1 else { return }
        known = KnownHeader(text: text.copy(), choice: choice)
    }

    private mutating func choose(_ text: Span<UInt8>, _ payloadCount: Int) throws(Refusal) -> Choice {
        guard let count = Base64URL.decode(text, into: &header) else {
            throw Refusal(.malformedToken, "The token's header is not base64url.")
        }
        let buffer = header
        let bytes = buffer.span.extracting(first: count)
        do {
            try headerJSON.parse(bytes)
        } catch {
            throw Refusal(.malformedToken, "The token's header is not strict JSON.")
        }
        let header = try Header(headerJSON, bytes, policy.types)
        unknownKey = nil
        let issuer = try chooseIssuer(payloadCount)
        let keys = policy.issuers[issuer].keys
        let index: Int?
        if let kid = header.kid {
            index = headerJSON.withText(kid, in: bytes) { keys.index(of: $0) }
        } else {
            index = keys.index(of: nil)
        }
        let source = policy.issuers[issuer].source
        guard let algorithm = header.algorithm,
            keys.uses(algorithm) || index == nil && source?.mayBring(algorithm) ?? false
        else {
            throw Refusal(.algorithmForbidden, "The token's algorithm is that of none of its issuer's keys.")
        }
        guard let index else {
            if let source, let kid = header.kid.flatMap({ headerJSON.string($0, in: bytes) }) {
                unknownKey = UnknownKey(source: source, kid: kid)
            }
            throw Refusal(.unknownKey, "The token does not name a key of its issuer.")
        }
        let key = keys.keys[index]
        guard key.algorithm == algorithm else {
            throw Refusal(.algorithmForbidden, "The token's algorithm is not that of its key.")
        }
        guard header.isTypeAccepted else { throw Refusal(.typeForbidden, "The token's type is not accepted.") }
        return Choice(
            issuer: issuer,
            key: index,
            kid: key.kid,
            kidNode: key.kid == nil ? header.kid : nil
        )
    }

    /// Picks among the configured issuers by a claim that nobody has verified: a token that lies here meets a key that is not its own.
    private mutating func chooseIssuer(_ payloadCount: Int) throws(Refusal) -> Int {
        guard policy.issuers.count != 1 else { return 0 }
        guard !policy.issuers.isEmpty else { throw Refusal(.unknownKey, "No key for tokens is configured.") }
        try parsePayload(payloadCount)
        let payload = payload
        let bytes = payload.span.extracting(first: payloadCount)
        let claims = try Claims(payloadJSON, bytes, tables[0])
        for index in policy.issuers.indices {
            guard let issuer = policy.issuers[index].issuer else { continue }
            if try claims.isIssued(by: issuer, payloadJSON, bytes) { return index }
        }
        throw Refusal(.wrongIssuer, "The token's issuer is none that is configured.")
    }

    private mutating func context(_ choice: Choice) throws(Refusal) -> KeyContext {
        if let context = contexts[choice.issuer][choice.key] { return context }
        do {
            let context = try KeyContext(key(of: choice))
            contexts[choice.issuer][choice.key] = context
            return context
        } catch {
            throw Refusal(.storeUnavailable, "The key could not be set up: \(error)")
        }
    }

    private mutating func parsePayload(_ count: Int) throws(Refusal) {
        let payload = payload
        do {
            try payloadJSON.parse(payload.span.extracting(first: count))
        } catch {
            throw Refusal(.malformedToken, "The token's payload is not strict JSON.")
        }
    }
}

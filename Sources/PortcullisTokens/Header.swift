import PortcullisCore
import PortcullisWire

/// What a token's header says (RFC 7515, section 4), which is still only a claim.
struct Header {
    /// nil where the algorithm is none that this gate knows.
    let algorithm: Algorithm?
    /// The node of the key's name.
    let kid: Int?
    let isTypeAccepted: Bool

    /// Members that would change what the signature means or where its key comes from. Whoever sends one expects them to be obeyed,
    /// so such a token is refused and not read as if they were not there. Nothing is ever fetched.
    private static let forbidden: [StaticString] = ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"]

    /// - Parameters:
    ///   - json: which has parsed `bytes`.
    ///   - types: which `typ` are accepted.
    init(_ json: StrictJSON, _ bytes: Span<UInt8>, _ types: TokenTypes) throws(Refusal) {
        guard json.kind(of: 0) == .object else { throw Refusal(.malformedToken, "The token's header is no object.") }
        var algorithm: Int?
        var kid: Int?
        var type: Int?
        for (name, value) in json.members() {
            if json.equals(name, "alg", in: bytes) {
                algorithm = value
            } else if json.equals(name, "kid", in: bytes) {
                kid = value
            } else if json.equals(name, "typ", in: bytes) {
                type = value
            } else {
                let forbidden = Self.forbidden
                for index in forbidden.indices where json.equals(name, forbidden[index], in: bytes) {
                    throw Refusal(.malformedToken, "The token's header has a member that is not accepted.")
                }
            }
        }
        guard let algorithm, json.kind(of: algorithm) == .string else {
            throw Refusal(.malformedToken, "The token's header names no algorithm.")
        }
        self.algorithm = json.withText(algorithm, in: bytes) { Algorithm(name: $0) }
        if let kid {
            guard json.kind(of: kid) == .string, json.withText(kid, in: bytes, { IdentityText.isWellFormed($0) }) else {
                throw Refusal(.malformedToken, "The token's key id is not 1 to 255 bytes of text.")
            }
        }
        self.kid = kid
        if let type {
            guard json.kind(of: type) == .string else {
                throw Refusal(.malformedToken, "The token's type is no string.")
            }
            isTypeAccepted = json.withText(type, in: bytes) { types.accepts($0) }
        } else {
            isTypeAccepted = types.acceptsAbsent
        }
    }
}

extension StrictJSON {
    /// Lends the value of a string node; copies only where it is written with escapes. Any other node's value is empty.
    func withText<Result>(_ node: Int, in bytes: Span<UInt8>, _ body: (Span<UInt8>) -> Result) -> Result {
        guard nodes.indices.contains(node), kind(of: node) == .string else { return body(Span()) }
        if nodes[node].escaped {
            let text = string(node, in: bytes)?.bytes ?? []
            return body(text.span)
        }
        return body(bytes.extracting(Int(nodes[node].start)..<Int(nodes[node].end)))
    }
}

/// What is spoken on a connection, and what the answer says about it (RFC 6455, section 4.2.2).
public struct Subprotocol: Equatable, Sendable {
    /// Whether `portcullis.v1` is spoken. Every other connection is raw, whatever name is echoed.
    public let isVersion1: Bool
    /// Where the name to be echoed stands in the head; nil where the answer names none.
    public let echoed: Range<Int>?

    /// Raw, without a name.
    public static let unnamed = Subprotocol(isVersion1: false, echoed: nil)

    /// The first of the client's subprotocols, which stand in its order of preference, that the gate knows: its own two, and `names`
    /// (`subprotocols`). An entry that bears a credential is never chosen, whatever `names` says: an answer is not a place for one.
    public static func choose(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, names: [[UInt8]] = []) -> Subprotocol
    {
        var elements = ListElements(.subprotocol)
        while let element = elements.next(in: head, bytes) {
            if bytes.equals(element, "portcullis.v1") { return Subprotocol(isVersion1: true, echoed: element) }
            guard bearer(element, bytes) == nil else { continue }
            if bytes.equals(element, "portcullis.raw") || names.contains(where: { bytes.equals(element, $0) }) {
                return Subprotocol(isVersion1: false, echoed: element)
            }
        }
        return unnamed
    }

    /// Where the credential stands in an entry that bears one; nil where it bears none.
    static func bearer(_ element: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int>? {
        let forms: [2 of StaticString] = ["base64url.bearer.portcullis.", "base64url.bearer.authorization.k8s.io."]
        for at in forms.indices where bytes.hasPrefix(element, forms[at]) {
            return element.lowerBound + forms[at].utf8CodeUnitCount..<element.upperBound
        }
        return nil
    }
}

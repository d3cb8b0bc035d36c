public import PortcullisCore

/// A JWS in compact serialization (RFC 7515, section 7.1) that nobody has verified: where its three segments stand.
public struct CompactToken: Equatable, Sendable {
    public let header: Range<Int>
    public let payload: Range<Int>
    public let signature: Range<Int>

    /// The bytes that the signature is over.
    public var signed: Range<Int> {
        header.lowerBound..<payload.upperBound
    }

    /// - Parameter maximumLength: in bytes; a longer token is refused unread.
    /// - Throws: `malformed_token` where there are not exactly three segments or the header is empty.
    public init(_ token: Span<UInt8>, maximumLength: Int) throws(Refusal) {
        guard token.count > 0 else { throw Refusal(.malformedToken, "The token is empty.") }
        guard token.count <= maximumLength else {
            throw Refusal(.malformedToken, "The token is longer than is accepted.")
        }
        var dots = (first: -1, second: -1)
        for at in token.indices where token[at] == UInt8(ascii: ".") {
            if dots.first < 0 {
                dots.first = at
            } else if dots.second < 0 {
                dots.second = at
            } else {
                throw Refusal(.malformedToken, "The token has more than three segments.")
            }
        }
        guard dots.second >= 0 else { throw Refusal(.malformedToken, "The token has fewer than three segments.") }
        guard dots.first > 0 else { throw Refusal(.malformedToken, "The token has no header.") }
        header = 0..<dots.first
        payload = dots.first + 1..<dots.second
        signature = dots.second + 1..<token.count
    }
}

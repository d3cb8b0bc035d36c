import Glibc
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
        // Safe: `memchr` reads within the count while the closure runs, and only offsets leave it.
        let dots = token.withUnsafeBytes { bytes -> (first: Int?, second: Int?, third: Int?) in
            func dot(behind last: Int?) -> Int? {
                guard let last, let base = bytes.baseAddress, last + 1 < bytes.count else { return nil }
                let start = base + last + 1
                return memchr(start, Int32(UInt8(ascii: ".")), bytes.count - last - 1).map {
                    UnsafeRawPointer($0) - base
                }
            }
            let first = dot(behind: -1)
            let second = dot(behind: first)
            return (first, second, dot(behind: second))
        }
        guard dots.third == nil else { throw Refusal(.malformedToken, "The token has more than three segments.") }
        guard let first = dots.first, let second = dots.second else {
            throw Refusal(.malformedToken, "The token has fewer than three segments.")
        }
        guard first > 0 else { throw Refusal(.malformedToken, "The token has no header.") }
        header = 0..<first
        payload = first + 1..<second
        signature = second + 1..<token.count
    }
}

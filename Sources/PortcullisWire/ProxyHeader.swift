public import PortcullisCore

/// The header of the PROXY protocol, version 2, by which a proxy says who connected to it (haproxy.org, proxy-protocol.txt, section 2.2).
///
/// It stands before all else on a connection. It says how much of it is still to come, so that not one byte behind it need be read: there
/// TLS begins.
public enum ProxyHeader: Equatable, Sendable {
    /// Well-formed so far. At least this many bytes more belong to the header.
    case incomplete(atLeast: Int)
    /// The proxy speaks for this address.
    case proxied(IPAddress)
    /// The proxy speaks for itself (a health check), or for a client whose address is none of ours (unspecified, a unix socket).
    case local
    /// No such header, and why.
    case refused(String)

    /// The signature, version and command, family, and length.
    public static let fixedLength = 16
    /// What follows the fixed part, at most: the addresses, and type-length-values that are passed over.
    public static let mostBehind = 4096

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// Reads from the first byte of the connection. What is wrong is said as early as can be, and the same however the bytes were cut.
    public static func parse(_ bytes: Span<UInt8>) -> ProxyHeader {
        for at in 0..<min(bytes.count, signature.count) where bytes[at] != signature[at] {
            return .refused("what comes first is no header of the PROXY protocol, version 2")
        }
        guard bytes.count > 12 else { return .incomplete(atLeast: fixedLength - bytes.count) }
        guard bytes[12] == 0x20 || bytes[12] == 0x21 else {
            return .refused("the PROXY header has another version or command")
        }
        let isLocal = bytes[12] == 0x20
        guard bytes.count > 13 else { return .incomplete(atLeast: fixedLength - bytes.count) }
        // Of a local connection the family says nothing, and is not looked at.
        guard let least = isLocal ? 0 : addresses(bytes[13]) else {
            return .refused("the PROXY header is of a family or transport that is not a stream's")
        }
        guard bytes.count >= fixedLength else { return .incomplete(atLeast: fixedLength - bytes.count) }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        guard length >= least else { return .refused("the PROXY header is too short for its addresses") }
        guard length <= mostBehind else { return .refused("the PROXY header is too long") }
        guard bytes.count >= fixedLength + length else {
            return .incomplete(atLeast: fixedLength + length - bytes.count)
        }
        guard bytes.count == fixedLength + length else { return .refused("more was read than the PROXY header") }
        switch isLocal ? 0 : bytes[13] {
        case 0x11: return .proxied(IPAddress(v4: UInt32(truncatingIfNeeded: word(bytes, 16, 4))))
        case 0x21: return .proxied(IPAddress(high: word(bytes, 16, 8), low: word(bytes, 24, 8)))
        default: return .local
        }
    }

    /// How many bytes the addresses of a family take; nil where it is none of streams.
    private static func addresses(_ family: UInt8) -> Int? {
        switch family {
        case 0x00: 0
        case 0x11: 12
        case 0x21: 36
        case 0x31: 216
        default: nil
        }
    }

    private static func word(_ bytes: Span<UInt8>, _ start: Int, _ count: Int) -> UInt64 {
        var word: UInt64 = 0
        for at in start..<start + count { word = word << 8 | UInt64(bytes[at]) }
        return word
    }
}

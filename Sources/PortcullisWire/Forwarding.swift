public import PortcullisCore

/// Proxies whose word is believed (`proxy.trusted`), and what their headers say of the client.
public struct Forwarding: Equatable, Sendable {
    public var trusted: [IPNetwork]

    public init(trusted: [IPNetwork] = []) {
        self.trusted = trusted
    }

    public func trusts(_ address: IPAddress?) -> Bool {
        guard !trusted.isEmpty, let address else { return false }
        return trusted.contains { $0.contains(address) }
    }

    /// Where a request comes from, as the proxies in front say it.
    public enum Client: Equatable, Sendable {
        /// From the peer itself: no proxy says otherwise.
        case peer
        case forwarded(IPAddress)
        /// A trusted proxy says something that is no address: the peer is the last of whom anything is known.
        case unreadable
    }

    /// What `X-Forwarded-For` says on a connection of a trusted peer. Each proxy appends whom it was connected from: so it is read from
    /// its end, over all lines, up to the first address that is no trusted proxy's. What stands before that anybody may have written.
    public func client(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) -> Client {
        var elements: [Range<Int>] = []
        var list = ListElements(.forwardedFor)
        while let element = list.next(in: head, bytes) { elements.append(element) }
        var client = Client.peer
        for element in elements.reversed() {
            guard let address = Self.address(bytes, element) else { return .unreadable }
            client = .forwarded(address)
            if !trusts(address) { break }
        }
        return client
    }

    /// Whether the nearest proxy says that the client speaks TLS to it (`X-Forwarded-Proto`); nil where it says nothing.
    public static func isSecure(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) -> Bool? {
        var last: Range<Int>?
        var list = ListElements(.forwardedProto)
        while let element = list.next(in: head, bytes) { last = element }
        guard let last else { return nil }
        return bytes.equalsIgnoringCase(last, "https") || bytes.equalsIgnoringCase(last, "wss")
    }

    /// An address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
    static func address(_ bytes: Span<UInt8>, _ range: Range<Int>) -> IPAddress? {
        // The longest there is: an IPv4-mapped address in brackets, and a port.
        guard (2...60).contains(range.count) else { return nil }
        let text = String(decoding: bytes.copy(range), as: UTF8.self)
        if bytes[range.lowerBound] == UInt8(ascii: "[") {
            let parts = text.dropFirst().split(separator: "]", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].contains(":"), parts[1].isEmpty || isPort(parts[1]) else { return nil }
            return IPAddress(parts[0])
        }
        if let address = IPAddress(text) { return address }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, isPort(text.dropFirst(parts[0].count)) else { return nil }
        return IPAddress(parts[0])
    }

    /// A colon and a number.
    private static func isPort(_ text: Substring) -> Bool {
        let digits = text.dropFirst().utf8
        return text.first == ":" && (1...5).contains(digits.count) && digits.allSatisfy { (0x30...0x39).contains($0) }
            && UInt16(text.dropFirst()) != nil
    }
}

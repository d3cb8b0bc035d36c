public import PortcullisCore

/// What a handshake says of the client itself: the facts that a session may be bound to (`sessions.bind`).
public struct PresentedClient: Equatable, Sendable {
    /// The value of `User-Agent`; nil where there is none, or more than one.
    public let userAgent: [UInt8]?
    /// The header `X-Device-ID`, or for browsers, which cannot set one, the cookie `device_id`; nil where there is none, or where two
    /// disagree.
    public let device: Identifier?

    public init(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) {
        userAgent = head.count(.userAgent) == 1 ? head.value(.userAgent).map { bytes.copy($0) } : nil
        var found: Identifier?
        var isAmbiguous = false
        func take(_ range: Range<Int>) {
            let id = Identifier(bytes: bytes.copy(range))
            if found != nil, found != id { isAmbiguous = true }
            found = id
        }
        for field in head.fields where field.name == .deviceID { take(field.value) }
        var cookies = Cookies()
        while let cookie = cookies.next(in: head, bytes) {
            if bytes.equals(cookie.name, "device_id") { take(cookie.value) }
        }
        device = isAmbiguous ? nil : found
    }
}

/// The header fields that the gate looks at. Names are compared once, when a line is read, and never again.
public enum FieldName: UInt8, Sendable {
    case host
    case connection
    case upgrade
    case key
    case version
    case subprotocol
    case origin
    case authorization
    case cookie
    case contentLength
    case transferEncoding
    case contentEncoding
    /// One of the two above with an underscore, which some gateways take for the same.
    case disguisedFraming
    case forwardedFor
    case forwardedProto
    case userAgent
    case deviceID
    case other

    /// Names are case-insensitive (RFC 9110, section 5.1). Their lengths are nearly all different, so that one comparison decides.
    init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        func matches(_ text: StaticString) -> Bool { bytes.equalsIgnoringCase(range, text) }
        switch range.count {
        case 4 where matches("host"): self = .host
        case 6 where matches("cookie"): self = .cookie
        case 6 where matches("origin"): self = .origin
        case 7 where matches("upgrade"): self = .upgrade
        case 10 where matches("connection"): self = .connection
        case 10 where matches("user-agent"): self = .userAgent
        case 11 where matches("x-device-id"): self = .deviceID
        case 13 where matches("authorization"): self = .authorization
        case 14 where matches("content-length"): self = .contentLength
        case 14 where matches("content_length"): self = .disguisedFraming
        case 15 where matches("x-forwarded-for"): self = .forwardedFor
        case 16 where matches("content-encoding"): self = .contentEncoding
        case 17 where matches("sec-websocket-key"): self = .key
        case 17 where matches("x-forwarded-proto"): self = .forwardedProto
        case 17 where matches("transfer-encoding"): self = .transferEncoding
        case 17 where matches("transfer_encoding"): self = .disguisedFraming
        case 21 where matches("sec-websocket-version"): self = .version
        case 22 where matches("sec-websocket-protocol"): self = .subprotocol
        default: self = .other
        }
    }
}

public import PortcullisCore

/// The path under which the gate answers (`path`).
public struct BasePath: Equatable, Sendable {
    /// Without the slash at its end: empty for `/`.
    fileprivate let prefix: [UInt8]

    public static let standard = BasePath(prefix: Array("/ws".utf8))

    private init(prefix: [UInt8]) {
        self.prefix = prefix
    }

    /// nil where it does not begin with a slash, or holds what no path may or what would have to be escaped.
    public init?(_ text: String) {
        var bytes = Array(text.utf8)
        guard bytes.first == UInt8(ascii: "/"), bytes.span.allSatisfy(bytes.indices, .path) else { return nil }
        if bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        prefix = bytes
    }
}

/// A request head that is a WebSocket handshake (RFC 6455, section 4.2.1) for a path of the gate.
///
/// It says where things stand in the bytes of the head, and whether they are well-formed. Who is asking, and whether they may, is
/// another question. Extensions are not looked at: the gate negotiates none.
public struct UpgradeRequest: Equatable, Sendable {
    /// The resource that the connection is bound to.
    public let resource: Identifier?
    /// The `Sec-WebSocket-Key`: 24 characters.
    public let key: Range<Int>
    public let origin: Range<Int>?
    public let host: Range<Int>
    public let authorization: Range<Int>?
    public let query: Range<Int>?
    /// Whether `portcullis.v1` is among the subprotocols that are offered.
    public let offersVersion1: Bool

    /// The most subprotocols that may be offered: each is compared with each.
    public static let mostSubprotocols = 32

    /// The checks in their order: the path (404), the upgrade and its version (426), all else (400).
    public init(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, base: BasePath = .standard) throws(Refusal) {
        resource = try Self.resource(head.path, bytes, base)
        guard ListElements.contains("websocket", .upgrade, head, bytes) else {
            throw Refusal(.upgradeRequired, "the request asks for no upgrade to websocket")
        }
        let version = try Self.atMostOne(.version, head, "more than one Sec-WebSocket-Version")
        guard let version else { throw Refusal(.badRequest, "no Sec-WebSocket-Version") }
        guard bytes.equals(version, "13") else {
            throw Refusal(.upgradeRequired, "the Sec-WebSocket-Version is not 13")
        }
        guard ListElements.contains("upgrade", .connection, head, bytes) else {
            throw Refusal(.badRequest, "Connection does not list upgrade")
        }
        let key = try Self.atMostOne(.key, head, "more than one Sec-WebSocket-Key")
        guard let key else { throw Refusal(.badRequest, "no Sec-WebSocket-Key") }
        guard Base64.isNonce(key, of: bytes) else {
            throw Refusal(.badRequest, "the Sec-WebSocket-Key is not 16 bytes in base64")
        }
        self.key = key
        origin = try Self.atMostOne(.origin, head, "more than one Origin")
        offersVersion1 = try Self.checkSubprotocols(head, bytes)
        guard head.count(.authorization) <= 1 else {
            throw Refusal(.ambiguousCredential, "more than one Authorization")
        }
        authorization = head.value(.authorization)
        host = head.host
        query = head.query
    }

    private static func atMostOne(
        _ name: FieldName,
        _ head: borrowing RequestHead,
        _ detail: String
    ) throws(Refusal) -> Range<Int>? {
        guard head.count(name) <= 1 else { throw Refusal(.badRequest, detail) }
        return head.value(name)
    }

    /// The base path itself, or one segment behind it. The base is compared as it is written: none of its characters needs an escape.
    private static func resource(
        _ path: Range<Int>,
        _ bytes: Span<UInt8>,
        _ base: BasePath
    ) throws(Refusal)
        -> Identifier?
    {
        let nothing = Refusal(.notFound, "the path is not one of the gate")
        let behind = path.lowerBound + base.prefix.count
        guard behind <= path.upperBound, bytes.equals(path.lowerBound..<behind, base.prefix) else { throw nothing }
        if behind == path.upperBound { return nil }
        guard bytes[behind] == UInt8(ascii: "/") else { throw nothing }
        let segment = behind + 1..<path.upperBound
        if segment.isEmpty, base.prefix.isEmpty { return nil }
        guard !segment.isEmpty, bytes.firstIndex(of: UInt8(ascii: "/"), in: segment) == nil else { throw nothing }
        // Three letters a byte at most: what is longer is not decoded.
        guard segment.count <= 3 * 255, let decoded = PercentEncoding.decode(segment, of: bytes) else {
            throw Refusal(.badRequest, "the resource is too long")
        }
        let resource = Identifier(bytes: decoded)
        guard resource.isWellFormed else { throw Refusal(.badRequest, "the resource is not well-formed") }
        return resource
    }

    /// Tokens, each once (RFC 6455, section 4.1, point 10), over any number of lines (section 11.3.4). Whether `portcullis.v1` is one.
    private static func checkSubprotocols(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) throws(Refusal) -> Bool {
        var elements = ListElements(.subprotocol)
        var offersVersion1 = false
        var count = 0
        while let element = elements.next(in: head, bytes) {
            guard bytes.allSatisfy(element, .token) else {
                throw Refusal(.badRequest, "a subprotocol is not a token")
            }
            count += 1
            guard count <= mostSubprotocols else { throw Refusal(.badRequest, "too many subprotocols") }
            var others = ListElements(.subprotocol)
            while let other = others.next(in: head, bytes), other != element {
                if bytes.equals(element, other) { throw Refusal(.badRequest, "a subprotocol is offered twice") }
            }
            if bytes.equals(element, "portcullis.v1") { offersVersion1 = true }
        }
        if count == 0, head.count(.subprotocol) > 0 {
            throw Refusal(.badRequest, "Sec-WebSocket-Protocol is empty")
        }
        return offersVersion1
    }
}

public import PortcullisCore

/// A message on `P:room:<resource>` (redis.md): what gates relay to one another, and a contract with backends, which may publish and
/// subscribe there.
public struct RoomMessage: Equatable, Sendable {
    public enum Content: Equatable, Sendable {
        /// A text frame of a raw connection.
        case text([UInt8])
        /// A binary frame of a raw connection.
        case binary([UInt8])
        /// JSON, from a `publish`.
        case json([UInt8])
        /// Messages may have been lost on their way into the room.
        case missed
        /// A user is in the room now, who had no connection there before.
        case joined
        /// A user has no connection there any more.
        case left

        /// What is said of a room that is no message of a member: `kind`.
        public var kind: String? {
            switch self {
            case .text, .binary, .json: nil
            case .missed: "missed"
            case .joined: "joined"
            case .left: "left"
            }
        }

        /// Whether it tells who is in the room.
        public var isPresence: Bool {
            self == .joined || self == .left
        }
    }

    /// The gate that sends; nil where a backend does.
    public var node: Identifier?
    /// The connection that the message came from, or that came or went. Its first half is its gate's run: of one that went with its gate,
    /// another than the sender's.
    public var connection: ConnectionID?
    /// Whose message it is; nil in `missed` alone.
    public var user: Identifier?
    /// The place in the log up to which the sender knows: a receiver that is behind it reads the log first.
    public var at: LogPosition?
    /// Whether the sender's gate has given it to its own members, so that only others' want it.
    public var isDelivered = false
    public var content: Content

    public init(
        node: Identifier? = nil,
        connection: ConnectionID? = nil,
        user: Identifier?,
        at: LogPosition? = nil,
        _ content: Content
    ) {
        self.node = node
        self.connection = connection
        self.user = user
        self.at = at
        self.content = content
    }

    // MARK: - Writing

    public func encode() -> [UInt8] {
        JSONBuilder.object { json in
            json.member("v", 1)
            if let node { json.member("node", node) }
            if let connection { json.member("connection", connection) }
            if let user { json.member("user", user) }
            switch content {
            case .text(let text): json.member("text", text.span)
            case .json(let data): json.member("data", json: data)
            case .binary(let bytes): json.member("b64", base64: bytes)
            case .missed, .joined, .left: break
            }
            if let kind = content.kind { json.member("kind", kind) }
            if let at { json.member("at", at.description) }
        }
    }

    /// An encoded message without a place in the log, with one: it is written on one thread, and the place is known to another.
    /// - Parameter isDelivered: whether the members of this gate have it.
    public static func placed(_ message: [UInt8], at position: LogPosition, isDelivered: Bool) -> [UInt8] {
        guard message.last == UInt8(ascii: "}") else { return message }
        let tail = isDelivered ? #","at":"\#(position)","delivered":true}"# : #","at":"\#(position)"}"#
        return message.dropLast() + Array(tail.utf8)
    }

    // MARK: - Reading

    /// How long a message with content of so many bytes can be: of some text each byte is written as six.
    public static func longest(content: Int) -> Int {
        let (bytes, isTooLarge) = content.multipliedReportingOverflow(by: 6)
        return isTooLarge ? .max / 2 : min(bytes, .max / 2) + 4096
    }

    /// Reads a message. Unknown members are left alone.
    ///
    /// - Parameters:
    ///   - limit: how many bytes the content may have.
    ///   - json: a parser that is kept.
    /// - Returns: nil where the message is of a `kind` that is not known: a newer gate's, not for this one.
    public static func decode(
        _ bytes: [UInt8],
        limit: Int,
        _ json: inout StrictJSON
    ) throws(RoomMessageRejection) -> RoomMessage? {
        guard bytes.count <= longest(content: limit) else { throw .tooLarge }
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw .notJSON(error)
        }
        let reader = RoomMessageReader(bytes: bytes, json: json, limit: limit)
        return try reader.message()
    }
}

/// Why a message on a room's channel is not delivered.
public enum RoomMessageRejection: Error, Equatable, Sendable {
    case tooLarge
    case notJSON(JSONError)
    case notAnObject
    case unknownVersion
    case badField(String)
    /// Not exactly one of `text`, `data` and `b64`.
    case badContent
}

extension RoomMessageRejection: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooLarge: "The message is larger than limits.message."
        case .notJSON(let error): "The message is not JSON: \(error)."
        case .notAnObject: "The message is no JSON object."
        case .unknownVersion: "The message's version `v` is not 1."
        case .badField(let field): "The message's field \(field) is missing or has a value of the wrong kind."
        case .badContent: "The message has not exactly one of `text`, `data` and `b64`."
        }
    }
}

private struct RoomMessageReader {
    let bytes: [UInt8]
    let json: StrictJSON
    let limit: Int

    func message() throws(RoomMessageRejection) -> RoomMessage? {
        guard json.kind(of: 0) == .object else { throw .notAnObject }
        guard let version = member("v"), json.integer(version, in: bytes.span) == 1 else { throw .unknownVersion }
        var message = RoomMessage(user: nil, .missed)
        if let kind = member("kind") {
            guard json.kind(of: kind) == .string else { throw .badField("kind") }
            if json.equals(kind, "joined", in: bytes.span) {
                message.content = .joined
            } else if json.equals(kind, "left", in: bytes.span) {
                message.content = .left
            } else if !json.equals(kind, "missed", in: bytes.span) {
                return nil
            }
        } else {
            message.content = try content()
        }
        if message.content != .missed {
            message.user = try identifier("user")
            guard message.user != nil else { throw .badField("user") }
        }
        message.node = try identifier("node")
        if let text = try string("connection") {
            guard let connection = ConnectionID(text.description) else { throw .badField("connection") }
            message.connection = connection
        }
        if let text = try string("at") {
            guard let position = LogPosition(text) else { throw .badField("at") }
            message.at = position
        }
        if let node = member("delivered") { message.isDelivered = json.bool(node, in: bytes.span) ?? false }
        return message
    }

    private func content() throws(RoomMessageRejection) -> RoomMessage.Content {
        let (text, data, encoded) = (member("text"), member("data"), member("b64"))
        switch (text, data, encoded) {
        case (let node?, nil, nil):
            guard let text = json.string(node, in: bytes.span) else { throw .badField("text") }
            return .text(try bounded(text.bytes))
        case (nil, let node?, nil): return .json(try bounded(json.json(node, in: bytes.span)))
        case (nil, nil, let node?):
            guard let text = json.string(node, in: bytes.span), let decoded = decode(text.bytes) else {
                throw .badField("b64")
            }
            return .binary(try bounded(decoded))
        default: throw .badContent
        }
    }

    /// The standard alphabet, with its padding (RFC 4648, section 4).
    private func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
        return Base64.decodeUnpadded(0..<text.count - padding, of: text.span)
    }

    private func bounded(_ content: [UInt8]) throws(RoomMessageRejection) -> [UInt8] {
        guard content.count <= limit else { throw .tooLarge }
        return content
    }

    private func member(_ name: StaticString) -> Int? {
        json.member(name, in: bytes.span)
    }

    /// nil where there is none; `null` is none too.
    private func string(_ name: StaticString) throws(RoomMessageRejection) -> Identifier? {
        guard let node = member(name), json.kind(of: node) != .null else { return nil }
        guard let text = json.string(node, in: bytes.span) else { throw .badField("\(name)") }
        return text
    }

    private func identifier(_ name: StaticString) throws(RoomMessageRejection) -> Identifier? {
        guard let text = try string(name) else { return nil }
        guard text.isWellFormed else { throw .badField("\(name)") }
        return text
    }
}

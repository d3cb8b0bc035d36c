public import PortcullisCore

/// What a client says in `portcullis.v1` (protocol.md).
public enum ClientMessage: Equatable, Sendable {
    case authenticate(token: [UInt8])
    case refresh(token: [UInt8], ref: [UInt8]?)
    case join(resource: Identifier, ref: [UInt8]?)
    case leave(resource: Identifier, ref: [UInt8]?)
    /// `data` is the JSON text as it stood in the message.
    case publish(resource: Identifier?, data: [UInt8], ref: [UInt8]?)
}

/// Why a client's message is not acted on: the answer is an `error` message, the connection stays.
public struct MessageRefusal: Error, Equatable, Sendable {
    public let code: Code
    public let detail: String
    /// The message's `ref`, as JSON.
    public let ref: [UInt8]?

    public enum Code: String, Sendable {
        case unknownType = "unknown_type"
        case badMessage = "bad_message"
        case forbidden
        case notAMember = "not_a_member"
        case badResource = "bad_resource"
        case rateLimited = "rate_limited"
        case tooLarge = "too_large"
        case unavailable
    }

    public init(_ code: Code, _ detail: String, ref: [UInt8]? = nil) {
        self.code = code
        self.detail = detail
        self.ref = ref
    }
}

extension ClientMessage {
    /// Reads a text message with a parser that is kept.
    public static func decode(_ bytes: [UInt8], _ json: inout StrictJSON) throws(MessageRefusal) -> ClientMessage {
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw MessageRefusal(.badMessage, "A message is one JSON object.")
        }
        guard json.kind(of: 0) == .object else { throw MessageRefusal(.badMessage, "A message is one JSON object.") }
        let ref = try reference(bytes, json)
        guard let type = json.member("type", in: bytes.span), json.kind(of: type) == .string else {
            throw MessageRefusal(.badMessage, "A message has a `type`.", ref: ref)
        }
        if json.equals(type, "publish", in: bytes.span) {
            guard let data = json.member("data", in: bytes.span) else {
                throw MessageRefusal(.badMessage, "`publish` has `data`.", ref: ref)
            }
            let named = json.member("resource", in: bytes.span)
            let resource = named == nil ? nil : try resource(bytes, json, ref)
            return .publish(resource: resource, data: json.json(data, in: bytes.span), ref: ref)
        }
        if json.equals(type, "join", in: bytes.span) {
            return .join(resource: try resource(bytes, json, ref), ref: ref)
        }
        if json.equals(type, "leave", in: bytes.span) {
            return .leave(resource: try resource(bytes, json, ref), ref: ref)
        }
        if json.equals(type, "refresh", in: bytes.span) {
            return .refresh(token: try token(bytes, json, ref), ref: ref)
        }
        if json.equals(type, "authenticate", in: bytes.span) {
            return .authenticate(token: try token(bytes, json, ref))
        }
        throw MessageRefusal(.unknownType, "The gate knows no message of this type.", ref: ref)
    }

    /// A `ref` is a string or number of at most 64 bytes.
    private static func reference(_ bytes: [UInt8], _ json: StrictJSON) throws(MessageRefusal) -> [UInt8]? {
        guard let node = json.member("ref", in: bytes.span) else { return nil }
        let ref = json.json(node, in: bytes.span)
        guard [.string, .number].contains(json.kind(of: node)), json.raw(node, in: bytes.span).count <= 64 else {
            throw MessageRefusal(.badMessage, "`ref` is a string or a number of at most 64 bytes.")
        }
        return ref
    }

    private static func resource(
        _ bytes: [UInt8],
        _ json: StrictJSON,
        _ ref: [UInt8]?
    ) throws(MessageRefusal) -> Identifier {
        guard let node = json.member("resource", in: bytes.span), let resource = json.string(node, in: bytes.span),
            resource.isWellFormed
        else { throw MessageRefusal(.badResource, "`resource` is a string of 1–255 bytes.", ref: ref) }
        return resource
    }

    private static func token(_ bytes: [UInt8], _ json: StrictJSON, _ ref: [UInt8]?) throws(MessageRefusal) -> [UInt8] {
        guard let node = json.member("token", in: bytes.span), let token = json.string(node, in: bytes.span) else {
            throw MessageRefusal(.badMessage, "`token` is a string.", ref: ref)
        }
        return token.bytes
    }
}

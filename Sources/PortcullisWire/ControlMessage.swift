public import PortcullisCore

/// What is said on a gate's own channel: its probe, and questions to it.
public enum ControlMessage: Equatable, Sendable {
    /// The gate's own: that it comes back proves that writing, publishing and the subscription work.
    case probe(nonce: Identifier)
    /// Which connections match. The answer goes to the list `P:reply:<id>`.
    case connections(id: Identifier, select: Selector, except: Selector?, limit: Int)
    /// A newer connection of the same user took the place of this one.
    case replaced(ConnectionID)

    public func encode() -> [UInt8] {
        JSONBuilder.object { json in
            json.member("v", 1)
            switch self {
            case .probe(let nonce): json.member("probe", nonce)
            case .replaced(let connection): json.member("replaced", connection)
            case .connections(let id, let select, let except, let limit):
                json.member("query", "connections")
                json.member("id", id)
                json.name("select")
                EventCodec.encode(select, into: &json)
                if let except {
                    json.name("except")
                    EventCodec.encode(except, into: &json)
                }
                json.member("limit", Int64(limit))
            }
        }
    }

    public static func decode(_ bytes: [UInt8]) throws(EventRejection) -> ControlMessage {
        guard bytes.count <= EventCodec.maximumBytes else { throw .tooLarge }
        var json = StrictJSON(maximumDepth: 8)
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw .notJSON(error)
        }
        guard let version = json.member("v", in: bytes.span), json.integer(version, in: bytes.span) == 1 else {
            throw .unknownVersion
        }
        if let node = json.member("probe", in: bytes.span), let nonce = json.string(node, in: bytes.span) {
            return .probe(nonce: nonce)
        }
        if let node = json.member("replaced", in: bytes.span) {
            guard let text = json.string(node, in: bytes.span), let connection = ConnectionID(text.description) else {
                throw .badField("replaced")
            }
            return .replaced(connection)
        }
        guard let query = json.member("query", in: bytes.span), json.equals(query, "connections", in: bytes.span)
        else { throw .unknownType("query") }
        guard let idNode = json.member("id", in: bytes.span), let id = json.string(idNode, in: bytes.span),
            id.isWellFormed
        else { throw .badField("id") }
        guard let select = json.member("select", in: bytes.span) else { throw .emptySelector }
        var limit: Int64 = 1000
        if let node = json.member("limit", in: bytes.span) {
            guard let given = json.integer(node, in: bytes.span), (1...100_000).contains(given) else {
                throw .badField("limit")
            }
            limit = given
        }
        let reader = EventReader(bytes: bytes, json: json, roles: .standard, trust: nil)
        var except: Selector?
        if let node = json.member("except", in: bytes.span) { except = try reader.selector(node) }
        return .connections(id: id, select: try reader.selector(select), except: except, limit: Int(limit))
    }
}

import PortcullisCore

/// Sessions that are JSON texts, the format of most: read where they stand, without a tree of values. What is rare in them is read by the
/// rules that all formats share.
extension SessionCodec {
    func decodeJSON(
        _ bytes: [UInt8],
        id: Identifier,
        expires: WallTime?,
        _ json: inout StrictJSON,
        dating: Dating
    ) throws(Refusal) -> ServerSession {
        try parse(bytes, "value", &json)
        guard json.kind(of: 0) == .object else { throw Refusal(.unknownSession, "The session's value is no object.") }
        let places = places(json, bytes.span)
        var text: [UInt8] = []
        // None is longer than an id may be.
        let lengths = [places.user, places.tenant, places.device].reduce(id.bytes.count) {
            $0 + min(255, json.length($1))
        }
        text.reserveCapacity(lengths)
        guard let user = places.user, json.kind(of: user) != .null else { throw Self.lacksUser }
        guard json.appendID(user, in: bytes.span, to: &text) else { throw Self.hasNoValidUser }
        let userEnd = UInt16(text.count)
        text.append(contentsOf: id.bytes.prefix(255))
        let sessionEnd = UInt16(text.count)
        if let tenant = try identifier("tenant", json, places.tenant, bytes) { text.append(contentsOf: tenant.bytes) }
        let tenantEnd = UInt16(text.count)
        if let device = try identifier("device", json, places.device, bytes) { text.append(contentsOf: device.bytes) }
        let end = UInt16(text.count)
        let permissions = permissions(SessionValue(json, places.permissions, bytes))
        let authenticated = time(json, places.authenticated, bytes)
        let verified = places.verified.map { Self.isVerified(SessionValue(json, $0, bytes)) }
        let address = try identifier("ip", json, places.address, bytes)
        let userAgentHash = try identifier("user_agent_hash", json, places.userAgent, bytes)
        let life = Self.life(SessionValue(json, places.cookie, bytes).value(at: Self.lifePath))
        let dates = try dating(time(json, places.created, bytes), expires)
        let identity = Identity(
            text: text,
            ends: [userEnd, sessionEnd, sessionEnd, sessionEnd, tenantEnd, end, end, end],
            issued: dates.issued,
            expires: dates.expires,
            authenticated: authenticated,
            kind: .session,
            permissions: permissions
        )
        return ServerSession(
            identity: identity,
            address: address,
            userAgentHash: userAgentHash,
            isMFAVerified: verified,
            life: life
        )
    }

    // MARK: - Where they stand

    /// The nodes of the values that the rules look at; nil where there is none.
    private struct Places {
        var user: Int?
        var created: Int?
        var device: Int?
        var tenant: Int?
        var authenticated: Int?
        var permissions: Int?
        var address: Int?
        var userAgent: Int?
        var verified: Int?
        var cookie: Int?
    }

    private func places(_ json: StrictJSON, _ bytes: Span<UInt8>) -> Places {
        var places = Places()
        for (name, value) in json.members() {
            if let first = userPath.first, json.isNamed(name, first, in: bytes) {
                places.user = json.node(value, userPath, in: bytes)
            }
            if let first = createdPath.first, json.isNamed(name, first, in: bytes) {
                places.created = json.node(value, createdPath, in: bytes)
            }
            if json.equals(name, "device", in: bytes) {
                places.device = value
            } else if json.equals(name, "tenant", in: bytes) {
                places.tenant = value
            } else if json.equals(name, "auth_time", in: bytes) {
                places.authenticated = value
            } else if json.equals(name, "permissions", in: bytes) {
                places.permissions = value
            } else if json.equals(name, "ip", in: bytes) {
                places.address = value
            } else if json.equals(name, "user_agent_hash", in: bytes) {
                places.userAgent = value
            } else if json.equals(name, "mfa_verified", in: bytes) {
                places.verified = value
            } else if json.equals(name, "cookie", in: bytes) {
                places.cookie = value
            }
        }
        return places
    }

    // MARK: - What they say

    private func identifier(
        _ name: StaticString,
        _ json: StrictJSON,
        _ node: Int?,
        _ bytes: [UInt8]
    ) throws(Refusal) -> Identifier? {
        guard let node else { return nil }
        return try Self.identifier(name, SessionValue(json, node, bytes))
    }

    private func time(_ json: StrictJSON, _ node: Int?, _ bytes: [UInt8]) -> WallTime? {
        guard let node else { return nil }
        if json.kind(of: node) == .number {
            return WallTime(secondsOrMilliseconds: json.number(node, in: bytes.span) ?? .nan)
        }
        return Self.time(SessionValue(json, node, bytes))
    }
}

extension StrictJSON {
    /// Whether a name's value is exactly that.
    fileprivate func isNamed(_ name: Int, _ text: Identifier, in bytes: Span<UInt8>) -> Bool {
        if nodes[name].escaped { return string(name, in: bytes) == text }
        return bytes.extracting(Int(nodes[name].start)..<Int(nodes[name].end)).isSame(as: text.bytes.span)
    }

    /// What the rest of a path leads to from the value of its first name; nil where a step leads nowhere.
    fileprivate func node(_ first: Int, _ path: [Identifier], in bytes: Span<UInt8>) -> Int? {
        var node = first
        for step in path.indices.dropFirst() {
            guard let next = members(of: node).first(where: { isNamed($0.name, path[step], in: bytes) }) else {
                return nil
            }
            node = next.value
        }
        return node
    }

    /// Bytes of the text.
    fileprivate func length(_ node: Int?) -> Int {
        node.map { Int(nodes[$0].end - nodes[$0].start) } ?? 0
    }

    /// Adds a user's id: a text, or the digits of an integer as they are written.
    /// - Returns: whether it is a valid one.
    fileprivate func appendID(_ node: Int, in bytes: Span<UInt8>, to text: inout [UInt8]) -> Bool {
        let range = Int(nodes[node].start)..<Int(nodes[node].end)
        switch nodes[node].kind {
        case .string where nodes[node].escaped:
            guard let id = string(node, in: bytes), id.isWellFormed else { return false }
            text.append(contentsOf: id.bytes)
        case .string:
            // That it is Unicode has been checked.
            let id = bytes.extracting(range)
            guard (1...255).contains(id.count), id.endOfText(from: 0) == id.count else { return false }
            text.append(range, of: bytes)
        case .number:
            let sign = bytes[range.lowerBound] == UInt8(ascii: "-") ? 1 : 0
            guard range.count <= 255, range.dropFirst(sign).allSatisfy({ (0x30...0x39).contains(bytes[$0]) }) else {
                return false
            }
            text.append(range, of: bytes)
        case .null, .bool, .array, .object: return false
        }
        return true
    }
}

extension SessionValue {
    fileprivate init(_ json: StrictJSON, _ node: Int?, _ bytes: [UInt8]) {
        if let node { self.init(json, node, bytes) } else { self = .absent }
    }
}

import PortcullisCore

/// Reads an event, or a selector, out of parsed JSON. Every known field is checked; an unknown one beside them is left alone.
struct EventReader {
    let bytes: [UInt8]
    let json: StrictJSON
    let roles: RoleOrder
    let trust: EventTrust?

    func event(_ object: Int, mayLackID: Bool) throws(EventRejection) -> Event {
        guard json.kind(of: object) == .object else { throw .notAnObject }
        guard let version = member("v", object), json.integer(version, in: bytes.span) == 1 else {
            throw .unknownVersion
        }
        guard let typeNode = member("type", object) else { throw .badField("type") }
        let type = try text(typeNode, "type")
        let id = try identifier("event", object)
        let event = Event(
            id: id,
            decision: try decision(type, object),
            at: try time("at_ms", object),
            actor: try optionalText("actor", object),
            reason: try optionalText("reason", object),
            message: try optionalText("message", object),
            wantsReceipt: try flag("ack", object)
        )
        if id == nil, !mayLackID, !event.decision.mayLackID { throw .needsID(type) }
        if let trust { try authenticate(event, object, trust) }
        return event
    }

    /// Whatever was read so far is believed only where its signature is.
    private func authenticate(_ event: Event, _ object: Int, _ trust: EventTrust) throws(EventRejection) {
        guard event.id != nil, let at = event.at, let node = member("sig", object),
            let text = json.string(node, in: bytes.span)?.bytes
        else { throw .unsigned }
        guard let signature = Base64.decodeURLSafe(text.indices, of: text.span),
            let signed = CanonicalJSON.encode(json, object, in: bytes, leavingOut: "sig"),
            trust.verifies(signed, signature)
        else { throw .badSignature }
        guard trust.times?.contains(at) ?? true else { throw .wrongTime }
    }

    private func decision(_ type: String, _ object: Int) throws(EventRejection) -> Decision {
        switch type {
        case "revoke":
            let select = try credentialSelector(object)
            return .revoke(
                .init(
                    select: select,
                    except: try except(object, connections: false),
                    issuedBefore: try issuedBefore(object, select),
                    expires: try time("expires_at_ms", object)
                )
            )
        case "block":
            let select = try credentialSelector(object)
            try blockable(select)
            return .block(select, except: try except(object, connections: false), until: try time("until_ms", object))
        case "unblock":
            let select = try credentialSelector(object)
            try blockable(select)
            return .unblock(select)
        case "permit": return .permit(try permit(object))
        case "reauthenticate":
            guard let within = try integer("within_s", object), (0...86_400).contains(within) else {
                throw .badField("within_s")
            }
            return .reauthenticate(
                try credentialSelector(object),
                except: try except(object, connections: false),
                within: .seconds(within)
            )
        case "lift":
            guard let other = try identifier("decision", object) else { throw .badField("decision") }
            return .lift(event: other)
        case "notify":
            guard let data = member("data", object) else { throw .badField("data") }
            return .notify(
                try selector("select", object),
                except: try except(object, connections: true),
                data: json.json(data, in: bytes.span)
            )
        case "disconnect":
            return .disconnect(
                try selector("select", object),
                except: try except(object, connections: true),
                code: try closeCode(object),
                reason: try optionalText("reason", object)
            )
        default: throw .unknownType(String(type.prefix(64)))
        }
    }

    private func permit(_ object: Int) throws(EventRejection) -> Decision.Permit {
        guard let user = try identifier("user", object) else { throw .badField("user") }
        guard let resource = try identifier("resource", object) else { throw .badField("resource") }
        guard let roleNode = member("role", object) else { throw .badField("role") }
        var role: Role?
        if json.kind(of: roleNode) != .null {
            guard let name = json.string(roleNode, in: bytes.span), let named = roles.role(named: name) else {
                throw .badField("role")
            }
            role = named
        }
        let version = try integer("version", object)
        guard (1...Grant.greatestNamed).contains(version ?? 1) else { throw .badField("version") }
        return .init(user: user, resource: resource, role: role, version: version)
    }

    private func issuedBefore(_ object: Int, _ select: Selector) throws(EventRejection) -> Decision.IssuedBefore {
        guard let node = member("issued_before_ms", object) else {
            return select.namesOneCredential ? .never : .append
        }
        if json.equals(node, "never", in: bytes.span) { return .never }
        guard let milliseconds = json.integer(node, in: bytes.span), milliseconds >= 0 else {
            throw .badField("issued_before_ms")
        }
        return .time(WallTime(milliseconds: milliseconds))
    }

    private func closeCode(_ object: Int) throws(EventRejection) -> UInt16 {
        guard let code = try integer("code", object) else { return 1000 }
        switch code {
        // What may stand in a close frame: RFC 6455, section 7.4, and the IANA registry.
        case 1000...1003, 1007...1014, 3000...4999: return UInt16(code)
        default: throw .badField("code")
        }
    }

    // MARK: - Selectors

    private func credentialSelector(_ object: Int) throws(EventRejection) -> Selector {
        let select = try selector("select", object)
        if select.connection != nil { throw .connectionSelector("connection") }
        if select.resource != nil { throw .connectionSelector("resource") }
        if select.role != nil { throw .connectionSelector("role") }
        return select
    }

    /// A block stands against a user, tenant, address or device.
    private func blockable(_ select: Selector) throws(EventRejection) {
        for field in select.ids.keys where ![.user, .tenant, .device].contains(field) {
            throw .badField("select.\(field.name)")
        }
    }

    private func except(_ object: Int, connections: Bool) throws(EventRejection) -> Selector? {
        guard member("except", object) != nil else { return nil }
        let except = try selector("except", object)
        if !connections, except.namesConnections { throw .connectionSelector("except") }
        return except
    }

    private func selector(_ name: StaticString, _ object: Int) throws(EventRejection) -> Selector {
        guard let node = member(name, object) else { throw .emptySelector }
        return try selector(node)
    }

    /// Reads a selector object.
    func selector(_ object: Int) throws(EventRejection) -> Selector {
        guard json.kind(of: object) == .object else { throw .badField("select") }
        var select = Selector()
        for (nameNode, value) in json.members(of: object) {
            let name = (json.string(nameNode, in: bytes.span) ?? "").description
            if let field = Identity.Field(name: name) {
                let id = try wellFormed(value, "select.\(name)")
                select.ids[field] = field == .tokenHash ? try tokenHash(id) : id
                continue
            }
            switch name {
            case "ip":
                guard let network = IPNetwork(try text(value, "select.ip")) else { throw .badField("select.ip") }
                select.network = network
            case "connection":
                guard let id = ConnectionID(try text(value, "select.connection")) else {
                    throw .badField("select.connection")
                }
                select.connection = id
            case "resource": select.resource = try wellFormed(value, "select.resource")
            case "role": select.role = try wellFormed(value, "select.role")
            case "all":
                guard json.bool(value, in: bytes.span) == true else { throw .badField("select.all") }
                select.all = true
            default: throw .unknownSelector(String(name.prefix(64)))
            }
        }
        if select.isEmpty { throw .emptySelector }
        return select
    }

    /// The SHA-256 of a token in the one form that gates and shared keys compare: another would match nobody, in silence.
    private func tokenHash(_ id: Identifier) throws(EventRejection) -> Identifier {
        guard id.bytes.count == 64, id.bytes.allSatisfy({ Hexadecimal.value(of: $0) != nil }) else {
            throw .badField("select.token_hash")
        }
        return Identifier(bytes: id.bytes.map(Hexadecimal.lowercase))
    }

    // MARK: - Fields

    private func member(_ name: StaticString, _ object: Int) -> Int? {
        json.member(name, of: object, in: bytes.span)
    }

    private func wellFormed(_ node: Int, _ name: String) throws(EventRejection) -> Identifier {
        guard let id = json.string(node, in: bytes.span), id.isWellFormed else { throw .badField(name) }
        return id
    }

    private func identifier(_ name: StaticString, _ object: Int) throws(EventRejection) -> Identifier? {
        guard let node = member(name, object) else { return nil }
        return try wellFormed(node, "\(name)")
    }

    private func text(_ node: Int, _ name: String) throws(EventRejection) -> String {
        guard let text = json.string(node, in: bytes.span) else { throw .badField(name) }
        return text.description
    }

    private func optionalText(_ name: StaticString, _ object: Int) throws(EventRejection) -> String? {
        guard let node = member(name, object), json.kind(of: node) != .null else { return nil }
        return try text(node, "\(name)")
    }

    private func integer(_ name: StaticString, _ object: Int) throws(EventRejection) -> Int64? {
        guard let node = member(name, object), json.kind(of: node) != .null else { return nil }
        guard let integer = json.integer(node, in: bytes.span) else { throw .badField("\(name)") }
        return integer
    }

    private func time(_ name: StaticString, _ object: Int) throws(EventRejection) -> WallTime? {
        guard let milliseconds = try integer(name, object) else { return nil }
        guard milliseconds >= 0 else { throw .badField("\(name)") }
        return WallTime(milliseconds: milliseconds)
    }

    private func flag(_ name: StaticString, _ object: Int) throws(EventRejection) -> Bool {
        guard let node = member(name, object) else { return false }
        guard let flag = json.bool(node, in: bytes.span) else { throw .badField("\(name)") }
        return flag
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Which connections match a selector, for whoever asks all gates.
extension GateLoop {
    func answer(_ query: ConnectionQuery) {
        var spared = 0
        let slots = matching(query.select, query.except, spared: &spared).filter { lives[Int($0)].phase == .live }
        let rows = slots.prefix(query.limit).compactMap { row($0) }
        let more = slots.count > rows.count
        if let uplink {
            uplink.queried(query.id, rows, spared, more)
        } else {
            shared.mailboxes[0].post(.queried(id: query.id, rows: rows, spared: spared, more: more))
        }
    }

    private func row(_ slot: UInt32) -> [UInt8]? {
        guard let identity = registry.identity(slot), let presented = registry.presented(slot) else { return nil }
        return JSONBuilder.object { json in
            json.member("connection", connectionID(slot).description)
            json.member("node", configuration.node)
            for field in Identity.Field.allCases {
                if let id = identity[field] { json.member(field.name, id) }
            }
            json.member("credential", identity.kind.rawValue)
            if let address = lives[Int(slot)].address { json.member("ip", address.description) }
            if let resource = lives[Int(slot)].resource {
                json.member("resource", resource)
                if let membership = rooms.membership(slot, resource) {
                    json.member("role", configuration.roles.name(of: membership.role))
                }
            }
            json.member("subprotocol", lives[Int(slot)].isVersion1 ? "portcullis.v1" : "raw")
            json.member("connected_at", json: JSONBuilder.seconds(presented))
            json.name("expires_at")
            if let expires = identity.expires { json.raw(JSONBuilder.seconds(expires)) } else { json.null() }
        }
    }
}

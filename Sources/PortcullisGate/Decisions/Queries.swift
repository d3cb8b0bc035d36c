import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Which connections match a selector, for whoever asks all gates.
extension GateLoop {
    /// Begins the answer: it is put together a slice a turn, behind all decisions.
    func answer(_ query: ConnectionQuery) {
        let nobody = Enforced(serial: 0, event: Identifier(query.id), type: "query", wantsReceipt: false)
        begin(Walk(.ask(query), query.select, query.except, nobody))
    }

    /// One that matches: its row stands in the answer where there is room for it.
    func list(_ slot: UInt32, _ query: ConnectionQuery, _ walk: inout Walk) {
        guard lives[Int(slot)].phase == .live else { return }
        walk.enforced.matched += 1
        guard walk.rowCount < query.limit, let row = row(slot) else { return }
        if walk.rowCount > 0 { walk.rows.append(UInt8(ascii: ",")) }
        walk.rows += row
        walk.rowCount += 1
    }

    /// All have been looked at.
    func answered(_ query: ConnectionQuery, _ walk: Walk) {
        let part = QueryPart(
            rows: walk.rows,
            count: walk.rowCount,
            spared: walk.enforced.spared,
            more: walk.enforced.matched > walk.rowCount
        )
        if let uplink {
            uplink.queried(query.id, part)
        } else {
            shared.mailboxes[0].post(.queried(id: query.id, part))
        }
    }

    private func row(_ slot: UInt32) -> [UInt8]? {
        guard let identity = registry.identity(slot), let presented = registry.presented(slot) else { return nil }
        return JSONBuilder.object { json in
            json.member("connection", connectionID(slot))
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
            json.member("connected_at", seconds: connectedAt(slot) ?? presented)
            json.name("expires_at")
            if let expires = identity.expires { json.value(seconds: expires) } else { json.null() }
        }
    }
}

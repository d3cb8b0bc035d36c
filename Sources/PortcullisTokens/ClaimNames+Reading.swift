public import PortcullisCore
import PortcullisWire

extension ClaimNames {
    /// The ids and the time of authentication that claims speak of, read as a verifier reads them. For claims that are to be signed, not
    /// for a token's.
    /// - Parameter claims: a JSON object; what is none says nothing.
    public func reading(_ claims: [UInt8]) -> (ids: [Identity.Field: Identifier], authenticated: WallTime?) {
        var json = StrictJSON()
        guard (try? json.parse(claims.span)) != nil, let found = try? Claims(json, claims.span, ClaimTable(self)) else {
            return ([:], nil)
        }
        var ids: [Identity.Field: Identifier] = [:]
        let fields: [(Identity.Field, Claim)] = [(.tenant, .tenant), (.device, .device), (.issuer, .issuer)]
        for (field, claim) in fields {
            guard let node = found.node(claim), let id = json.string(node, in: claims.span), id.isWellFormed else {
                continue
            }
            ids[field] = id
        }
        return (ids, try? found.time(.authenticated, json, claims.span))
    }
}

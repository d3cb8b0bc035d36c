/// How a decision against one id is held.
extension StandingDecisions.Entry {
    init(_ row: CompactDecisions.Row) {
        self.init(
            verdict: row.verdict,
            select: Selector(ids: [row.field: row.id]),
            except: nil,
            covers: row.covers,
            order: row.order,
            expires: row.expires,
            event: row.event,
            isProvisional: row.isProvisional,
            within: row.within,
            remark: row.remark,
            reading: row.reading,
            isHeard: row.isHeard
        )
    }

    /// nil where it is against more than one id, or spares somebody.
    var row: CompactDecisions.Row? {
        guard except == nil, let (field, id) = select.only else { return nil }
        return CompactDecisions.Row(
            verdict: verdict,
            field: field,
            id: id,
            covers: covers,
            order: order,
            expires: expires,
            event: event,
            isProvisional: isProvisional,
            within: within,
            remark: remark,
            reading: reading,
            isHeard: isHeard
        )
    }

    /// Whether it decides the same, apart from when it was appended.
    func isSame(as other: Self) -> Bool {
        func atAppend(_ time: WallTime?, _ order: Int64) -> Milliseconds? { time?.since(WallTime(milliseconds: order)) }
        return verdict == other.verdict && select == other.select && except == other.except && within == other.within
            && (covers == other.covers || atAppend(covers, order) == atAppend(other.covers, other.order))
            && (expires == other.expires || atAppend(expires, order) == atAppend(other.expires, other.order))
    }
}

extension Selector {
    /// The one id that it names, where it names nothing else.
    var only: (field: Identity.Field, id: Identifier)? {
        guard ids.count == 1, network == nil, !all, !namesConnections, let (field, id) = ids.first
        else { return nil }
        return (field, id)
    }
}

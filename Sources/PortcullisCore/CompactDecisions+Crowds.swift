/// The decisions against one id: a chain through the rows or, where they are many, an order by what they cover. So neither a handshake nor
/// a decision walks over a hundred thousand of them.
extension CompactDecisions {
    struct Crowd: Sendable {
        /// By verdict.
        var orders: [3 of CoverOrder] = [CoverOrder(), CoverOrder(), CoverOrder()]

        var count: Int { orders[0].count + orders[1].count + orders[2].count }

        var any: Reference? { orders[0].any ?? orders[1].any ?? orders[2].any }

        var references: [Reference] { orders[0].references + orders[1].references + orders[2].references }
    }

    /// A longer chain becomes a crowd, a crowd of an eighth of it a chain again.
    static let longestChain = 32

    /// Takes up a decision against the same id as `head`, the one that the table knows.
    mutating func join(_ reference: Reference, _ head: Reference) {
        guard next(head) != Self.crowded else { return enter(reference, head) }
        setNext(reference, next(head))
        setNext(head, reference)
        let members = chain(head)
        guard members.count > Self.longestChain else { return }
        crowds[head] = Crowd()
        for member in members { enter(member, head) }
        setNext(head, Self.crowded)
    }

    private mutating func enter(_ reference: Reference, _ head: Reference) {
        let (order, key) = placeInCrowd(reference)
        crowds[head]?.orders[order].insert(key)
    }

    private mutating func leave(_ reference: Reference, _ head: Reference) {
        let (order, key) = placeInCrowd(reference)
        crowds[head]?.orders[order].remove(key)
    }

    private func placeInCrowd(_ reference: Reference) -> (order: Int, CoverOrder.Key) {
        let standing = standing(at: reference)
        let key = CoverOrder.Key(
            covers: standing.covers ?? CoverOrder.never,
            expires: standing.expires ?? CoverOrder.never,
            reference: reference
        )
        return (Int(Self.number(of: standing.verdict)), key)
    }

    private func chain(_ head: Reference) -> [Reference] {
        var members: [Reference] = []
        var reference = head
        while reference != Self.none {
            members.append(reference)
            reference = next(reference)
        }
        return members
    }

    private func head(_ reference: Reference, _ hash: Int) -> Reference? {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        let id = Array(bytes[layout.id..<layout.end])
        return first(layout.field, hash) { Self.same($0, id) }
    }

    // MARK: - Taking out, putting elsewhere

    /// Takes a decision out of both tables.
    mutating func forget(_ reference: Reference) {
        let hash = hashOfID(reference)
        guard let head = head(reference, hash) else { return }
        if crowds[head] != nil {
            leave(reference, head)
            if head == reference, let other = crowds[head]?.any {
                byID.replace(head, by: other, hash)
                crowds[other] = crowds.removeValue(forKey: head)
                setNext(other, Self.crowded)
                dissolve(other)
            } else {
                dissolve(head)
            }
        } else if head == reference {
            let following = next(reference)
            if following == Self.none {
                byID.remove(reference, hash)
            } else {
                byID.replace(reference, by: following, hash)
            }
        } else {
            setNext(before(reference, head), next(reference))
        }
        byEvent.remove(reference, hashOfEvent(reference))
        heldAgainst[layout(at: reference).field.rawValue] -= 1
        count -= 1
    }

    private func before(_ reference: Reference, _ head: Reference) -> Reference {
        var previous = head
        while next(previous) != reference, next(previous) != Self.none { previous = next(previous) }
        return previous
    }

    /// Makes a small crowd a chain again.
    private mutating func dissolve(_ head: Reference) {
        guard let crowd = crowds[head], crowd.count <= Self.longestChain / 8 else { return }
        crowds[head] = nil
        var last = head
        for member in crowd.references where member != head {
            setNext(last, member)
            last = member
        }
        setNext(last, Self.none)
    }

    /// What pointed to a row points to the one that took its place; both hold the same bytes.
    mutating func relink(_ reference: Reference, as moved: Reference) {
        let hash = hashOfID(reference)
        guard let head = head(reference, hash) else { return }
        let isCrowd = crowds[head] != nil
        if isCrowd { leave(reference, head) }
        if head == reference {
            byID.replace(head, by: moved, hash)
            if isCrowd { crowds[moved] = crowds.removeValue(forKey: head) }
        } else if !isCrowd {
            setNext(before(reference, head), moved)
        }
        if isCrowd { enter(moved, head == reference ? moved : head) }
    }

    // MARK: - Asking

    /// Calls back for the decisions against an id of an identity; of many, for those of each kind that cover most. Copies nothing.
    func forEach(_ field: Identity.Field, of identity: Identity, now: WallTime, _ body: (Standing) -> Void) {
        guard heldAgainst[field.rawValue] > 0 else { return }
        let hash = Self.hash(field, identity.hash(field))
        guard let head = first(field, hash, where: { identity.matches(field, $0) }) else { return }
        if next(head) == Self.crowded, let crowd = crowds[head] {
            for order in crowd.orders.indices {
                if let key = crowd.orders[order].first(after: now) { body(standing(at: key.reference)) }
            }
            return
        }
        var reference = head
        while reference != Self.none {
            body(standing(at: reference))
            reference = next(reference)
        }
    }

    /// All decisions against an id.
    func rows(_ field: Identity.Field, _ id: Identifier) -> [Row] {
        let hash = Self.hash(field, id.hashValue)
        guard let head = first(field, hash, where: { Self.same($0, id.bytes) }) else { return [] }
        return (crowds[head]?.references ?? chain(head)).map(row(at:))
    }

    /// The events of blocks against an id up to an order.
    func blocks(_ field: Identity.Field, _ id: Identifier, upTo order: Int64) -> [Identifier] {
        let hash = Self.hash(field, id.hashValue)
        guard let head = first(field, hash, where: { Self.same($0, id.bytes) }) else { return [] }
        let blocked = Int(Self.number(of: .blocked))
        return (crowds[head]?.orders[blocked].references ?? chain(head)).filter {
            standing(at: $0).verdict == .blocked && self.order(at: $0) <= order
        }.map(event(at:))
    }
}

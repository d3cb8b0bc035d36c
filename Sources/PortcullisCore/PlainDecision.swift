/// A revocation or a block against one id, as it lies in the bytes that it was read from.
public struct PlainDecision: Sendable {
    public enum Cover: Equatable, Sendable {
        /// Credentials that were issued up to the append.
        case append
        case all
        case upTo(WallTime)
    }

    public let isBlock: Bool
    public let field: Identity.Field
    /// Where the id stands in the bytes.
    public let id: Range<Int>
    /// Where the event's id stands.
    public let event: Range<Int>
    public let covers: Cover
    public let order: Int64
    /// When it ends, where it says so itself.
    public let ends: WallTime?
    public let reason: Range<Int>?
    public let actor: Range<Int>?

    public init(
        isBlock: Bool,
        field: Identity.Field,
        id: Range<Int>,
        event: Range<Int>,
        covers: Cover,
        order: Int64,
        ends: WallTime?,
        reason: Range<Int>?,
        actor: Range<Int>?
    ) {
        self.isBlock = isBlock
        self.field = field
        self.id = id
        self.event = event
        self.covers = covers
        self.order = order
        self.ends = ends
        self.reason = reason
        self.actor = actor
    }
}

/// A million decisions are taken up at a gate's start: those that are written as nearly all are, without an object for each.
extension StandingDecisions {
    /// Takes up a decision that the log or the standing decisions were read to hold, as ``apply(_:isProvisional:isRead:)`` would.
    ///
    /// - Parameters:
    ///   - bytes: where its parts lie.
    ///   - mayInsert: whether one that is not held is taken up too.
    /// - Returns: false where it was not: it is not held as it stands there, or something else that is known concerns it.
    public mutating func take(_ plain: PlainDecision, of bytes: Span<UInt8>, mayInsert: Bool) -> Bool {
        guard isUntouched(plain, bytes) else { return false }
        let appended = WallTime(milliseconds: plain.order)
        let usual = plain.isBlock ? nil : ending(of: plain.field, appended)
        let covers: WallTime? =
            switch plain.covers {
            case .append: appended
            case .all: nil
            case .upTo(let time): time
            }
        let row = CompactDecisions.PlainRow(
            verdict: plain.isBlock ? .blocked : .revoked,
            field: plain.field,
            covers: covers,
            order: plain.order,
            expires: plain.ends ?? usual,
            remark: remark(plain, bytes),
            reading: reading
        )
        let (id, event) = (bytes.extracting(plain.id), bytes.extracting(plain.event))
        return compact.take(row, id: id, event: event, mayInsert: mayInsert)
    }

    /// Whether nothing that is kept besides the plain decisions could concern it.
    private func isUntouched(_ plain: PlainDecision, _ bytes: Span<UInt8>) -> Bool {
        if general.count == 0, endingSlots.isEmpty { return true }
        let event = Identifier(bytes: Self.copy(bytes, plain.event))
        if general.entry(of: event) != nil || ending(.lift(event)) != nil { return false }
        guard plain.isBlock, !endingSlots.isEmpty else { return true }
        return ending(.unblock(Selector(ids: [plain.field: Identifier(bytes: Self.copy(bytes, plain.id))]))) == nil
    }

    private func ending(of field: Identity.Field, _ appended: WallTime) -> WallTime {
        appended + (field == .token || field == .tokenHash ? lifetimes.retention : lifetimes.longest)
    }

    private mutating func remark(_ plain: PlainDecision, _ bytes: Span<UInt8>) -> UInt16 {
        if plain.reason == nil, plain.actor == nil { return 0 }
        func text(_ range: Range<Int>?) -> String? {
            range.map { String(decoding: Self.copy(bytes, $0), as: UTF8.self) }
        }
        return remarks.note(reason: text(plain.reason), actor: text(plain.actor))
    }

    private static func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for at in range { copy.append(bytes[at]) }
        return copy
    }
}

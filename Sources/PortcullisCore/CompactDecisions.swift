/// Decisions against one id each, many of them: a token, a session, a user. Each is a run of bytes in a page, found by its id and by its
/// event; a decision of 36 bytes of id costs about 90 bytes, tables included.
///
/// Pages hold decisions that end at about the same time, so that expiry looks at pages and not at decisions: at one that has ended whole,
/// and once an hour at one of which something has.
struct CompactDecisions: Sendable {
    /// One decision.
    struct Row: Equatable, Sendable {
        var verdict: StandingDecisions.Verdict
        var field: Identity.Field
        var id: Identifier
        /// nil: all credentials.
        var covers: WallTime?
        var order: Int64
        var expires: WallTime?
        var event: Identifier
        var isProvisional: Bool
        var within: Milliseconds
        var remark: UInt16
        var reading: UInt16
        var isHeard: Bool
    }

    /// What of a decision is asked at a handshake.
    struct Standing {
        let verdict: StandingDecisions.Verdict
        let covers: WallTime?
        let expires: WallTime?
    }

    /// Where a decision stands: the page in the upper half, the offset in the lower.
    typealias Reference = UInt32

    static let none = Reference.max
    /// In the place of the next: there are so many that they stand in ``crowds``. No page is so high.
    static let crowded = Reference.max - 1

    var pages: [Page] = []
    var free: [Int] = []
    /// The page that decisions of each life are written to: of tokens, of sessions, of all that ends at its own time, of what never ends.
    var open: [4 of Int] = [-1, -1, -1, -1]
    var byID = ReferenceTable()
    var byEvent = ReferenceTable()
    /// Ids with many decisions, by the one of them that `byID` knows.
    var crowds: [Reference: Crowd] = [:]
    /// How many decisions are against ids of each field.
    var heldAgainst = [8 of Int](repeating: 0)
    /// The page that was looked at last for whether it is nearly empty.
    var gathered = 0
    var scratch: [UInt8] = []
    let lifetimes: StandingDecisions.Lifetimes

    init(lifetimes: StandingDecisions.Lifetimes) {
        self.lifetimes = lifetimes
    }

    /// How many are held, those that have ended but lie in a page that has not included.
    var count = 0

    // MARK: - Changing

    /// Takes up a decision whose event is not held; false where there is no room for more.
    mutating func insert(_ row: Row) -> Bool {
        let life = life(of: row.field, appended: WallTime(milliseconds: row.order), expires: row.expires)
        encode(row, usual: life < 2)
        let idHash = Self.hash(row.field, row.id.hashValue)
        return insertEncoded(life, row.field, row.expires, idHash, eventHash: nil) { Self.same($0, row.id.bytes) }
    }

    /// Takes up what is encoded in `scratch`.
    /// - Parameter matches: whether the bytes are of the id that it is against.
    mutating func insertEncoded(
        _ life: Int,
        _ field: Identity.Field,
        _ expires: WallTime?,
        _ idHash: Int,
        eventHash: Int?,
        where matches: (Span<UInt8>) -> Bool
    ) -> Bool {
        guard let page = room(life, scratch.count) else { return false }
        let reference = Reference(page << 16 | pages[page].bytes.count)
        pages[page].bytes.append(contentsOf: scratch)
        pages[page].took(scratch.count, expires)
        count += 1
        heldAgainst[field.rawValue] += 1
        if let head = first(field, idHash, where: matches) {
            // The table knows the first of the same id alone.
            join(reference, head)
        } else {
            byID.insert(reference, idHash)
        }
        byEvent.insert(reference, eventHash ?? hashOfEvent(reference))
        return true
    }

    /// - Returns: the decision of that event, which is held no more.
    mutating func remove(_ event: Identifier) -> Row? {
        guard let reference = reference(of: event) else { return nil }
        let row = row(at: reference)
        forget(reference)
        release(reference)
        return row
    }

    mutating func setFound(reading: UInt16, isHeard: Bool, of event: Identifier) {
        guard let reference = reference(of: event) else { return }
        let (page, at) = Self.place(reference)
        pages[page].bytes[at + 5] = pages[page].bytes[at + 5] & ~Flags.heard | (isHeard ? Flags.heard : 0)
        pages[page].bytes[at + 6] = UInt8(truncatingIfNeeded: reading)
        pages[page].bytes[at + 7] = UInt8(truncatingIfNeeded: reading >> 8)
    }

    // MARK: - Asking

    func row(of event: Identifier) -> Row? {
        reference(of: event).map(row(at:))
    }

    func forEachRow(_ body: (Row) -> Void) {
        for page in pages.indices where pages[page].live > 0 {
            for reference in references(in: page) { body(row(at: reference)) }
        }
    }

    /// The bytes that are held for all of it.
    var byteCount: Int {
        pages.reduce(0) { $0 + $1.bytes.capacity } + byID.byteCount + byEvent.byteCount
            + crowds.values.reduce(0) { $0 + $1.count * MemoryLayout<CoverOrder.Key>.stride }
    }

    /// Found by the packed id, whose bytes are compared where they lie.
    func reference(of event: Identifier) -> Reference? {
        guard count > 0 else { return nil }
        var packed: [UInt8] = []
        packed.reserveCapacity(32)
        let form = PackedEventID.pack(event.bytes, to: &packed)
        return reference(of: form, packed, packed.indices, Self.hash(form, packed.span))
    }

    /// - Parameters:
    ///   - bytes: hold the packed id.
    ///   - range: where in them.
    func reference(
        of form: PackedEventID.Form,
        _ bytes: [UInt8],
        _ range: Range<Int>,
        _ hash: Int
    ) -> Reference? {
        byEvent.first(hash) { reference in
            let layout = layout(at: reference)
            guard layout.form == form, layout.id - 1 - layout.event == range.count else { return false }
            let held = pages[Int(reference >> 16)].bytes
            for at in 0..<range.count where held[layout.event + at] != bytes[range.lowerBound + at] { return false }
            return true
        }
    }

    func first(_ field: Identity.Field, _ hash: Int, where matches: (Span<UInt8>) -> Bool) -> Reference? {
        byID.first(hash) { reference in
            let layout = layout(at: reference)
            guard layout.field == field else { return false }
            let bytes = pages[Int(reference >> 16)].bytes
            return matches(bytes.span.extracting(layout.id..<layout.end))
        }
    }

    static func same(_ left: Span<UInt8>, _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        for at in left.indices where left[at] != right[at] { return false }
        return true
    }
}

// MARK: - Tables

extension CompactDecisions {
    static func hash(_ field: Identity.Field, _ hash: Int) -> Int {
        hash ^ (field.rawValue &+ 1) &* 0x9E37_79B9_7F4A_7C1
    }

    func hashOfID(_ reference: Reference) -> Int {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        var hasher = Hasher()
        // Safe: the range is one of the record's, and the pointer does not leave the closure.
        bytes.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[layout.id..<layout.end])) }
        return Self.hash(layout.field, hasher.finalize())
    }

    func hashOfEvent(_ reference: Reference) -> Int {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        return Self.hash(layout.form, bytes.span.extracting(layout.event..<layout.id - 1))
    }

    /// Of a packed id: a sum that is chosen anew for each process would be more than is needed, were the ids not strangers'.
    static func hash(_ form: PackedEventID.Form, _ packed: Span<UInt8>) -> Int {
        var hasher = Hasher()
        // Safe: the pointer does not leave the closure.
        packed.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize() ^ Int(form.rawValue)
    }

    static func place(_ reference: Reference) -> (page: Int, at: Int) {
        (Int(reference >> 16), Int(reference & 0xFFFF))
    }

    func next(_ reference: Reference) -> Reference {
        let (page, at) = Self.place(reference)
        let bytes = pages[page].bytes
        return Reference(truncatingIfNeeded: bytes.span.little(4, at: at))
    }

    mutating func setNext(_ reference: Reference, _ next: Reference) {
        let (page, at) = Self.place(reference)
        for byte in 0..<4 { pages[page].bytes[at + byte] = UInt8(truncatingIfNeeded: next >> UInt32(8 * byte)) }
    }
}

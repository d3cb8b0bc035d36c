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

    struct Page {
        var bytes: [UInt8] = []
        var live = 0
        /// When the first of it ends, and the last; ``never`` where nothing does, or something does not.
        var firstEnds = Page.never
        var lastEnds = WallTime(milliseconds: .min)
        /// When it is looked through again, at the earliest.
        var nextLook = WallTime(milliseconds: .min)

        static let never = WallTime(milliseconds: .max)

        /// Whether something in it is to be forgotten.
        func isDue(_ now: WallTime) -> Bool {
            live > 0 && firstEnds != Page.never && firstEnds <= now
                && (nextLook <= now || lastEnds != Page.never && lastEnds <= now)
        }

        mutating func note(_ expires: WallTime?) {
            firstEnds = min(firstEnds, expires ?? Page.never)
            lastEnds = max(lastEnds, expires ?? Page.never)
        }
    }

    private static let pageSize = 1 << 16
    private static let mostPages = 1 << 16
    static let none = Reference.max

    var pages: [Page] = []
    private var free: [Int] = []
    /// The page that decisions of each life are written to: of tokens, of sessions, of all that ends at its own time.
    private var open: [3 of Int] = [-1, -1, -1]
    private var byID = ReferenceTable()
    private var byEvent = ReferenceTable()
    var scratch: [UInt8] = []
    let lifetimes: StandingDecisions.Lifetimes

    init(lifetimes: StandingDecisions.Lifetimes) {
        self.lifetimes = lifetimes
    }

    /// How many are held, those that have ended but lie in a page that has not included.
    private(set) var count = 0

    // MARK: - Changing

    /// Takes up a decision whose event is not held; false where there is no room for more.
    mutating func insert(_ row: Row) -> Bool {
        let life = life(of: row)
        encode(row, usual: life < 2)
        guard let page = room(life, scratch.count) else { return false }
        let reference = Reference(page << 16 | pages[page].bytes.count)
        pages[page].bytes.append(contentsOf: scratch)
        pages[page].live += 1
        pages[page].note(row.expires)
        count += 1
        let idHash = Self.hash(row.field, row.id.hashValue)
        if let head = first(row.field, idHash, where: { Self.same($0, row.id.bytes) }) {
            // Behind the first of the same id: the table knows that one alone.
            setNext(reference, next(head))
            setNext(head, reference)
        } else {
            insert(reference, idHash, into: \.byID) { $0.hashOfID($1) }
        }
        insert(reference, hashOfEvent(reference), into: \.byEvent) { $0.hashOfEvent($1) }
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

    /// Forgets what has ended, a few pages a call.
    /// - Returns: the events of what was forgotten.
    mutating func expire(now: WallTime, pagesAtMost: Int = 4) -> [Identifier] {
        var events: [Identifier] = []
        var left = pagesAtMost
        for page in pages.indices where left > 0 && pages[page].isDue(now) {
            left -= 1
            pages[page].firstEnds = Page.never
            pages[page].nextLook = now + .seconds(3600)
            for reference in references(in: page) {
                if let expires = standing(at: reference).expires {
                    if expires <= now {
                        events.append(event(at: reference))
                        forget(reference)
                        release(reference)
                    } else {
                        pages[page].firstEnds = min(pages[page].firstEnds, expires)
                    }
                }
            }
        }
        return events
    }

    // MARK: - Asking

    func row(of event: Identifier) -> Row? {
        reference(of: event).map(row(at:))
    }

    /// Calls back for every decision against an id of an identity. Copies nothing.
    func forEach(_ field: Identity.Field, of identity: Identity, _ body: (Standing) -> Void) {
        guard count > 0 else { return }
        let hash = Self.hash(field, identity.hash(field))
        var reference = first(field, hash) { identity.matches(field, $0) }
        while let known = reference {
            body(standing(at: known))
            let following = next(known)
            reference = following == Self.none ? nil : following
        }
    }

    /// All decisions against an id.
    func rows(_ field: Identity.Field, _ id: Identifier) -> [Row] {
        var rows: [Row] = []
        let hash = Self.hash(field, id.hashValue)
        var reference = first(field, hash, where: { Self.same($0, id.bytes) }) ?? Self.none
        while reference != Self.none {
            rows.append(row(at: reference))
            reference = next(reference)
        }
        return rows
    }

    func forEachRow(_ body: (Row) -> Void) {
        for page in pages.indices where pages[page].live > 0 {
            for reference in references(in: page) { body(row(at: reference)) }
        }
    }

    /// The bytes that are held for all of it.
    var byteCount: Int {
        pages.reduce(0) { $0 + $1.bytes.capacity } + byID.byteCount + byEvent.byteCount
    }

    /// Found by the packed id, whose bytes are compared where they lie.
    private func reference(of event: Identifier) -> Reference? {
        guard count > 0 else { return nil }
        var packed: [UInt8] = []
        packed.reserveCapacity(32)
        let form = PackedEventID.pack(event.bytes, to: &packed)
        return byEvent.first(Self.hash(form, packed.span)) { reference in
            let layout = layout(at: reference)
            guard layout.form == form, layout.id - 1 - layout.event == packed.count else { return false }
            let bytes = pages[Int(reference >> 16)].bytes
            for at in packed.indices where bytes[layout.event + at] != packed[at] { return false }
            return true
        }
    }

    private func first(_ field: Identity.Field, _ hash: Int, where matches: (Span<UInt8>) -> Bool) -> Reference? {
        byID.first(hash) { reference in
            let layout = layout(at: reference)
            guard layout.field == field else { return false }
            let bytes = pages[Int(reference >> 16)].bytes
            return matches(bytes.span.extracting(layout.id..<layout.end))
        }
    }

    private static func same(_ left: Span<UInt8>, _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        for at in left.indices where left[at] != right[at] { return false }
        return true
    }
}

// MARK: - Pages and tables

extension CompactDecisions {
    private func life(of row: Row) -> Int {
        guard let expires = row.expires else { return 2 }
        let appended = WallTime(milliseconds: row.order)
        let isToken = row.field == .token || row.field == .tokenHash
        guard expires == appended + (isToken ? lifetimes.retention : lifetimes.longest) else { return 2 }
        return isToken ? 0 : 1
    }

    /// A page with room for so many bytes.
    private mutating func room(_ life: Int, _ size: Int) -> Int? {
        if open[life] >= 0, pages[open[life]].bytes.count + size <= Self.pageSize { return open[life] }
        let page: Int
        if let known = free.popLast() {
            page = known
        } else {
            guard pages.count < Self.mostPages - 1 else { return nil }
            page = pages.count
            pages.append(Page())
        }
        pages[page].bytes.reserveCapacity(Self.pageSize)
        let full = open[life]
        open[life] = page
        // It was kept for what was still to come.
        if full >= 0 { reclaim(full) }
        return page
    }

    private mutating func reclaim(_ page: Int) {
        guard pages[page].live == 0, !(0..<3).contains(where: { open[$0] == page }) else { return }
        pages[page] = Page()
        free.append(page)
    }

    /// Takes a decision out of both tables.
    private mutating func forget(_ reference: Reference) {
        let layout = layout(at: reference)
        let hash = hashOfID(reference)
        let bytes = pages[Int(reference >> 16)].bytes
        let id = Array((layout.id..<layout.end).map { bytes[$0] })
        guard let head = first(layout.field, hash, where: { Self.same($0, id) }) else { return }
        if head == reference {
            let following = next(reference)
            if following == Self.none {
                remove(reference, hash, from: \.byID) { $0.hashOfID($1) }
            } else {
                byID.replace(reference, by: following, hash)
            }
        } else {
            var previous = head
            while next(previous) != reference, next(previous) != Self.none { previous = next(previous) }
            setNext(previous, next(reference))
        }
        remove(reference, hashOfEvent(reference), from: \.byEvent) { $0.hashOfEvent($1) }
        count -= 1
    }

    private mutating func release(_ reference: Reference) {
        let (page, at) = Self.place(reference)
        pages[page].bytes[at + 4] |= Flags.dead
        pages[page].live -= 1
        reclaim(page)
    }

    /// Those in a page that are held.
    private func references(in page: Int) -> [Reference] {
        var references: [Reference] = []
        var at = 0
        while at < pages[page].bytes.count {
            let reference = Reference(page << 16 | at)
            let layout = layout(at: reference)
            if !layout.isDead { references.append(reference) }
            at = layout.end
        }
        return references
    }

    private mutating func insert(
        _ reference: Reference,
        _ hash: Int,
        into table: WritableKeyPath<CompactDecisions, ReferenceTable>,
        _ hashOf: (borrowing CompactDecisions, Reference) -> Int
    ) {
        // Out of the value while it grows: it asks for the hashes of what it holds.
        var taken = ReferenceTable()
        swap(&taken, &self[keyPath: table])
        taken.insert(reference, hash) { hashOf(self, $0) }
        swap(&taken, &self[keyPath: table])
    }

    private mutating func remove(
        _ reference: Reference,
        _ hash: Int,
        from table: WritableKeyPath<CompactDecisions, ReferenceTable>,
        _ hashOf: (borrowing CompactDecisions, Reference) -> Int
    ) {
        var taken = ReferenceTable()
        swap(&taken, &self[keyPath: table])
        taken.remove(reference, hash) { hashOf(self, $0) }
        swap(&taken, &self[keyPath: table])
    }

    private static func hash(_ field: Identity.Field, _ hash: Int) -> Int {
        hash ^ (field.rawValue &+ 1) &* 0x9E37_79B9_7F4A_7C1
    }

    private func hashOfID(_ reference: Reference) -> Int {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        var hasher = Hasher()
        // Safe: the range is one of the record's, and the pointer does not leave the closure.
        bytes.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[layout.id..<layout.end])) }
        return Self.hash(layout.field, hasher.finalize())
    }

    private func hashOfEvent(_ reference: Reference) -> Int {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        return Self.hash(layout.form, bytes.span.extracting(layout.event..<layout.id - 1))
    }

    /// Of a packed id: a sum that is chosen anew for each process would be more than is needed, were the ids not strangers'.
    private static func hash(_ form: PackedEventID.Form, _ packed: Span<UInt8>) -> Int {
        var hasher = Hasher()
        // Safe: the pointer does not leave the closure.
        packed.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize() ^ Int(form.rawValue)
    }

    static func place(_ reference: Reference) -> (page: Int, at: Int) {
        (Int(reference >> 16), Int(reference & 0xFFFF))
    }

    private func next(_ reference: Reference) -> Reference {
        let (page, at) = Self.place(reference)
        let bytes = pages[page].bytes
        return Reference(truncatingIfNeeded: bytes.span.little(4, at: at))
    }

    private mutating func setNext(_ reference: Reference, _ next: Reference) {
        let (page, at) = Self.place(reference)
        for byte in 0..<4 { pages[page].bytes[at + byte] = UInt8(truncatingIfNeeded: next >> UInt32(8 * byte)) }
    }
}

/// Decisions that are taken up without an object for each of their ids.
extension CompactDecisions {
    /// What of a decision is no id; it was read, and is no guess.
    struct PlainRow: Equatable {
        var verdict: StandingDecisions.Verdict
        var field: Identity.Field
        var covers: WallTime?
        var order: Int64
        var expires: WallTime?
        var remark: UInt16
        var reading: UInt16
    }

    /// Takes up a decision, or notes that this reading has found it.
    /// - Returns: false where it is held otherwise, or is not held and may not be inserted, or there is no room.
    mutating func take(_ row: PlainRow, id: Span<UInt8>, event: Span<UInt8>, mayInsert: Bool) -> Bool {
        guard (1...255).contains(id.count) else { return false }
        let life = life(of: row.field, appended: WallTime(milliseconds: row.order), expires: row.expires)
        encode(row, usual: life < 2)
        let start = scratch.count
        let form = PackedEventID.pack(event, to: &scratch)
        scratch[5] |= form.rawValue << 4
        let packed = start..<scratch.count
        let eventHash = Self.hash(form, scratch.span.extracting(packed))
        scratch.append(UInt8(id.count))
        for at in id.indices { scratch.append(id[at]) }
        if let known = reference(of: form, scratch, packed, eventHash) { return find(known, row.reading) }
        guard mayInsert else { return false }
        let idHash = Self.hash(row.field, Self.hash(id))
        return insertEncoded(life, row.field, row.expires, idHash, eventHash: eventHash) { held in
            guard held.count == id.count else { return false }
            for at in id.indices where held[at] != id[at] { return false }
            return true
        }
    }

    /// Notes that a reading has found what is held; false where it is not what is encoded in `scratch`.
    private mutating func find(_ reference: Reference, _ reading: UInt16) -> Bool {
        let (page, start) = Self.place(reference)
        guard layout(at: reference).end - start == scratch.count else { return false }
        let heard = pages[page].bytes[start + 5] & Flags.heard
        // But for its place in a chain, the reading, and whether it was only heard so far.
        for at in 4..<scratch.count where at != 6 && at != 7 {
            let held = at == 5 ? pages[page].bytes[start + at] & ~Flags.heard : pages[page].bytes[start + at]
            guard held == scratch[at] else { return false }
        }
        if heard != 0 { pages[page].bytes[start + 5] &= ~Flags.heard }
        pages[page].bytes[start + 6] = UInt8(truncatingIfNeeded: reading)
        pages[page].bytes[start + 7] = UInt8(truncatingIfNeeded: reading >> 8)
        return true
    }

    /// The hash of an ``Identifier`` of the same bytes.
    private static func hash(_ id: Span<UInt8>) -> Int {
        var hasher = Hasher()
        // Safe: the pointer does not leave the closure.
        id.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

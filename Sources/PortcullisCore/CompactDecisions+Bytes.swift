/// next (4) · flags (1) · field, form of the event and whether it was only heard (1) · reading (2) · remark (2) · order (8) · covers (8)? · expires (8)? ·
/// within in s (4)? · event · id with its length (1 + n), integers little-endian.
extension CompactDecisions {
    enum Flags {
        static let verdict: UInt8 = 3
        /// It covers all credentials.
        static let coversAll: UInt8 = 4
        /// It covers those up to its append, which is its order.
        static let coversAppend: UInt8 = 8
        /// It never ends.
        static let endless: UInt8 = 16
        /// It ends when a decision of its kind does.
        static let usual: UInt8 = 32
        static let provisional: UInt8 = 64
        static let dead: UInt8 = 128
        /// In the byte of field and form.
        static let heard: UInt8 = 128
    }

    struct Layout {
        var isDead: Bool
        var field: Identity.Field
        var form: PackedEventID.Form
        var covers: Int
        var expires: Int
        var within: Int
        var event: Int
        var id: Int
        var end: Int
    }

    /// Its number in ``Flags/verdict``.
    static func number(of verdict: StandingDecisions.Verdict) -> UInt8 {
        switch verdict {
        case .revoked: 0
        case .blocked: 1
        case .reauthenticationRequired: 2
        }
    }

    private static func verdict(_ flags: UInt8) -> StandingDecisions.Verdict {
        switch flags & Flags.verdict {
        case 0: .revoked
        case 1: .blocked
        default: .reauthenticationRequired
        }
    }

    mutating func encode(_ row: Row, usual: Bool) {
        let head = PlainRow(
            verdict: row.verdict,
            field: row.field,
            covers: row.covers,
            order: row.order,
            expires: row.expires,
            remark: row.remark,
            reading: row.reading
        )
        encode(head, usual: usual)
        if row.isProvisional { scratch[4] |= Flags.provisional }
        if row.verdict == .reauthenticationRequired { append(UInt64(clamping: row.within.count / 1000), 4) }
        let form = PackedEventID.pack(row.event.bytes, to: &scratch)
        scratch[5] |= form.rawValue << 4 | (row.isHeard ? Flags.heard : 0)
        scratch.append(UInt8(clamping: row.id.bytes.count))
        scratch.append(contentsOf: row.id.bytes.prefix(255))
    }

    /// What stands before the ids.
    mutating func encode(_ row: PlainRow, usual: Bool) {
        scratch.removeAll(keepingCapacity: true)
        append(UInt64(Self.none), 4)
        var flags = Self.number(of: row.verdict)
        let appended = WallTime(milliseconds: row.order)
        if row.covers == nil { flags |= Flags.coversAll } else if row.covers == appended { flags |= Flags.coversAppend }
        if row.expires == nil { flags |= Flags.endless } else if usual { flags |= Flags.usual }
        scratch.append(flags)
        scratch.append(UInt8(row.field.rawValue))
        append(UInt64(row.reading), 2)
        append(UInt64(row.remark), 2)
        append(UInt64(bitPattern: row.order), 8)
        if let covers = row.covers, covers != appended { append(UInt64(bitPattern: covers.milliseconds), 8) }
        if let expires = row.expires, !usual { append(UInt64(bitPattern: expires.milliseconds), 8) }
    }

    private mutating func append(_ value: UInt64, _ count: Int) {
        for byte in 0..<count { scratch.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }

    func layout(at reference: Reference) -> Layout {
        let (page, start) = Self.place(reference)
        let all = pages[page].bytes
        let bytes = all.span
        let flags = bytes[start + 4]
        var at = start + 18
        let covers = at
        if flags & (Flags.coversAll | Flags.coversAppend) == 0 { at += 8 }
        let expires = at
        if flags & (Flags.endless | Flags.usual) == 0 { at += 8 }
        let within = at
        if flags & Flags.verdict == 2 { at += 4 }
        let form = PackedEventID.Form(rawValue: bytes[start + 5] >> 4 & 3) ?? .text
        let event = at
        at += PackedEventID.length(form, bytes, at: at)
        let id = at + 1
        return Layout(
            isDead: flags & Flags.dead != 0,
            field: Identity.Field(rawValue: Int(bytes[start + 5] & 15)) ?? .user,
            form: form,
            covers: covers,
            expires: expires,
            within: within,
            event: event,
            id: id,
            end: id + Int(bytes[at])
        )
    }

    func standing(at reference: Reference) -> Standing {
        let (page, start) = Self.place(reference)
        let all = pages[page].bytes
        let bytes = all.span
        let flags = bytes[start + 4]
        let layout = layout(at: reference)
        let appended = bytes.time(at: start + 10)
        let covers: WallTime? =
            flags & Flags.coversAll != 0
            ? nil : flags & Flags.coversAppend != 0 ? appended : bytes.time(at: layout.covers)
        let expires: WallTime?
        if flags & Flags.endless != 0 {
            expires = nil
        } else if flags & Flags.usual != 0 {
            let isToken = layout.field == .token || layout.field == .tokenHash
            expires = appended + (isToken ? lifetimes.retention : lifetimes.longest)
        } else {
            expires = bytes.time(at: layout.expires)
        }
        return Standing(verdict: Self.verdict(flags), covers: covers, expires: expires)
    }

    func order(at reference: Reference) -> Int64 {
        let (page, at) = Self.place(reference)
        let bytes = pages[page].bytes
        return Int64(bitPattern: bytes.span.little(8, at: at + 10))
    }

    func event(at reference: Reference) -> Identifier {
        let layout = layout(at: reference)
        let bytes = pages[Int(reference >> 16)].bytes
        return Identifier(bytes: PackedEventID.unpack(layout.form, bytes.span, at: layout.event))
    }

    func row(at reference: Reference) -> Row {
        let (page, start) = Self.place(reference)
        let layout = layout(at: reference)
        let standing = standing(at: reference)
        let all = pages[page].bytes
        let bytes = all.span
        let isTimed = standing.verdict == .reauthenticationRequired
        return Row(
            verdict: standing.verdict,
            field: layout.field,
            id: Identifier(bytes: (layout.id..<layout.end).map { all[$0] }),
            covers: standing.covers,
            order: Int64(bitPattern: bytes.little(8, at: start + 10)),
            expires: standing.expires,
            event: event(at: reference),
            isProvisional: bytes[start + 4] & Flags.provisional != 0,
            within: isTimed ? .seconds(Int64(bytes.little(4, at: layout.within))) : Milliseconds(0),
            remark: UInt16(bytes.little(2, at: start + 8)),
            reading: UInt16(bytes.little(2, at: start + 6)),
            isHeard: bytes[start + 5] & Flags.heard != 0
        )
    }
}

extension Span where Element == UInt8 {
    func time(at: Int) -> WallTime {
        WallTime(milliseconds: Int64(bitPattern: little(8, at: at)))
    }

    /// An integer of so many bytes, the lowest first.
    func little(_ count: Int, at: Int) -> UInt64 {
        var value: UInt64 = 0
        for byte in 0..<count { value |= UInt64(self[at + byte]) << UInt64(8 * byte) }
        return value
    }
}

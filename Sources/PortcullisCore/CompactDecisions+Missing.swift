/// What a reading of everything has not found, page by page.
extension CompactDecisions {
    /// Where a walk over all pages stands.
    struct Bookmark: Equatable, Sendable {
        var page = 0
        var at = 0
        /// That of the page when it was begun.
        var generation: UInt32 = 0
    }

    /// Whether a reading has not found a decision that was seen in the log. Decodes nothing.
    func mayBeMissing(_ reference: Reference, _ reading: UInt16) -> Bool {
        let (page, at) = Self.place(reference)
        let bytes = pages[page].bytes
        guard bytes[at + 4] & (Flags.provisional | Flags.dead) == 0 else { return false }
        return UInt16(bytes[at + 6]) | UInt16(bytes[at + 7]) << 8 != reading
    }

    func isAtEnd(_ bookmark: Bookmark) -> Bool {
        bookmark.page >= pages.count
    }

    /// The next decisions that a reading has not found and that have not ended.
    /// - Parameters:
    ///   - rows: how many may be looked at; what was is taken off.
    ///   - copies: how many may be answered; what was is taken off.
    func missing(
        from bookmark: inout Bookmark,
        reading: UInt16,
        now: WallTime,
        rows: inout Int,
        copies: inout Int
    ) -> [Row] {
        var missing: [Row] = []
        while bookmark.page < pages.count, rows > 0, copies > 0 {
            let page = pages[bookmark.page]
            // It was given back, and is begun anew: what stands there now came since, or was found.
            if page.generation != bookmark.generation {
                (bookmark.at, bookmark.generation) = (0, page.generation)
            }
            if page.live == 0 || bookmark.at >= page.bytes.count {
                rows -= 1
                bookmark = Bookmark(page: bookmark.page + 1)
                continue
            }
            rows -= 1
            let reference = Reference(bookmark.page << 16 | bookmark.at)
            bookmark.at = layout(at: reference).end
            guard mayBeMissing(reference, reading) else { continue }
            let row = row(at: reference)
            guard row.expires.map({ $0 > now }) ?? true else { continue }
            copies -= 1
            missing.append(row)
        }
        return missing
    }
}

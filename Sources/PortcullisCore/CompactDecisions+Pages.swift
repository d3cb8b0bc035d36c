/// Pages: what ends at about the same time stands together, what is nearly empty is emptied, what is empty is used again.
extension CompactDecisions {
    static let pageSize = 1 << 16
    static let mostPages = 1 << 16

    struct Page {
        var bytes: [UInt8] = []
        var live = 0
        /// Of those that are held.
        var liveBytes = 0
        /// Counts how often the page was given back: what was known of a place in it is void then.
        var generation: UInt32 = 0
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

        /// Whether most of its bytes are of decisions that are held no more.
        var isSparse: Bool { live > 0 && liveBytes * 4 < bytes.count }

        mutating func took(_ size: Int, _ expires: WallTime?) {
            live += 1
            liveBytes += size
            firstEnds = min(firstEnds, expires ?? Page.never)
            lastEnds = max(lastEnds, expires ?? Page.never)
        }
    }

    /// Which page it is written to: what never ends would keep a page of those that do for ever.
    func life(of row: Row) -> Int {
        guard let expires = row.expires else { return 3 }
        let appended = WallTime(milliseconds: row.order)
        let isToken = row.field == .token || row.field == .tokenHash
        guard expires == appended + (isToken ? lifetimes.retention : lifetimes.longest) else { return 2 }
        return isToken ? 0 : 1
    }

    private func life(at reference: Reference) -> Int {
        let (page, at) = Self.place(reference)
        let flags = pages[page].bytes[at + 4]
        if flags & Flags.endless != 0 { return 3 }
        guard flags & Flags.usual != 0 else { return 2 }
        let field = layout(at: reference).field
        return field == .token || field == .tokenHash ? 0 : 1
    }

    /// A page with room for so many bytes.
    mutating func room(_ life: Int, _ size: Int) -> Int? {
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
        guard pages[page].live == 0, !open.indices.contains(where: { open[$0] == page }) else { return }
        let generation = pages[page].generation
        pages[page] = Page()
        pages[page].generation = generation &+ 1
        free.append(page)
    }

    mutating func release(_ reference: Reference) {
        let (page, at) = Self.place(reference)
        pages[page].bytes[at + 4] |= Flags.dead
        pages[page].live -= 1
        pages[page].liveBytes -= layout(at: reference).end - at
        reclaim(page)
    }

    /// Those in a page that are held.
    func references(in page: Int) -> [Reference] {
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

    // MARK: - What has ended

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

    // MARK: - What holds little

    /// Empties pages that hold little, a few a call.
    /// - Parameter reading: what this reading has not found stays where it is, so that a walk which looks for it passes none by.
    mutating func gather(reading: UInt16, pagesAtMost: Int = 4) {
        var left = pagesAtMost
        for _ in pages.indices where left > 0 {
            gathered = gathered + 1 < pages.count ? gathered + 1 : 0
            let page = gathered
            guard pages[page].isSparse, !open.indices.contains(where: { open[$0] == page }) else { continue }
            left -= 1
            for reference in references(in: page) where !mayBeMissing(reference, reading) {
                guard move(reference) else { return }
            }
        }
    }

    /// Writes a decision once more, into the open page of its life.
    private mutating func move(_ reference: Reference) -> Bool {
        let (from, start) = Self.place(reference)
        let end = layout(at: reference).end
        guard let page = room(life(at: reference), end - start) else { return false }
        let moved = Reference(page << 16 | pages[page].bytes.count)
        let bytes = pages[from].bytes[start..<end]
        pages[page].bytes.append(contentsOf: bytes)
        pages[page].took(bytes.count, standing(at: reference).expires)
        byEvent.replace(reference, by: moved, hashOfEvent(reference))
        relink(reference, as: moved)
        release(reference)
        return true
    }
}

/// Decisions that are not against one id alone: of several fields, of an address, with somebody spared, against all. Each is found by the
/// narrowest of its ids and its network, so that a handshake looks at none that is about others, however many addresses are blocked.
struct GeneralDecisions: Sendable {
    typealias Entry = StandingDecisions.Entry

    /// What a decision is found by.
    private struct Place: Hashable {
        var field: Identity.Field?
        var id: Identifier?
        var network: IPNetwork?

        init(_ field: Identity.Field?, _ id: Identifier?, _ network: IPNetwork?) {
            (self.field, self.id, self.network) = (field, id, network)
        }

        init(_ select: Selector) {
            for field in GeneralDecisions.narrowest {
                guard let id = select.ids[field] else { continue }
                self.init(field, id, select.network)
                return
            }
            self.init(nil, nil, select.network)
        }

        var shape: Shape { Shape(field: field, prefix: network?.prefix) }
    }

    /// Which field a place names, and how many bits of an address: a handshake looks up one place of each shape that occurs.
    private struct Shape: Hashable {
        var field: Identity.Field?
        var prefix: UInt8?
    }

    private static let narrowest: [Identity.Field] = [
        .token, .tokenHash, .session, .user, .device, .tenant, .key, .issuer,
    ]

    private var entries = Slab<Entry>()
    private var slots: [Identifier: Int] = [:]
    private var places: [Place: [Int]] = [:]
    /// How many places there are of each.
    private var shapes: [Shape: Int] = [:]
    private var hours = ExpiryHours()

    var count: Int { entries.count }

    // MARK: - Changing

    /// Takes up a decision whose event is not held.
    mutating func insert(_ entry: Entry) {
        let slot = entries.insert(entry)
        slots[entry.event] = slot
        let place = Place(entry.select)
        if places[place]?.append(slot) == nil {
            places[place] = [slot]
            shapes[place.shape, default: 0] += 1
        }
        if let expires = entry.expires { hours.insert(slot, expires) }
    }

    mutating func remove(_ event: Identifier) {
        guard let slot = slots.removeValue(forKey: event), let entry = entries.remove(slot) else { return }
        if let expires = entry.expires { hours.remove(slot, expires) }
        let place = Place(entry.select)
        if let index = places[place]?.firstIndex(of: slot) { places[place]?.remove(at: index) }
        guard places[place]?.isEmpty == true else { return }
        places[place] = nil
        let left = (shapes[place.shape] ?? 1) - 1
        shapes[place.shape] = left > 0 ? left : nil
    }

    mutating func setFound(reading: UInt16, isHeard: Bool, of event: Identifier) {
        guard let slot = slots[event] else { return }
        entries.update(slot) { ($0.reading, $0.isHeard) = (reading, isHeard) }
    }

    /// Forgets what has ended, so many at most.
    /// - Returns: the events of what was forgotten.
    mutating func expire(now: WallTime, atMost: Int) -> [Identifier] {
        let events = hours.passed(now, atMost: atMost).compactMap { entries[$0]?.event }
        for event in events { remove(event) }
        return events
    }

    // MARK: - Asking

    func entry(of event: Identifier) -> Entry? {
        slots[event].flatMap { entries[$0] }
    }

    /// The events of blocks of a selector up to an order.
    func blocks(_ select: Selector, upTo order: Int64) -> [Identifier] {
        (places[Place(select)] ?? []).compactMap { entries[$0] }
            .filter { $0.verdict == .blocked && $0.select == select && $0.order <= order }
            .map(\.event)
    }

    /// Calls back for those that could match a credential from an address.
    func forEachCandidate(_ identity: Identity, _ address: IPAddress?, _ body: (Entry) -> Void) {
        for shape in shapes.keys {
            var id: Identifier?
            if let field = shape.field {
                guard let present = identity[field] else { continue }
                id = present
            }
            var network: IPNetwork?
            if let prefix = shape.prefix {
                guard let address else { continue }
                network = IPNetwork(address, prefix: prefix)
            }
            for slot in places[Place(shape.field, id, network)] ?? [] {
                if let entry = entries[slot] { body(entry) }
            }
        }
    }

    // MARK: - All of them

    /// Behind the last slot.
    var end: Int { entries.end }

    subscript(slot: Int) -> Entry? { entries[slot] }
}

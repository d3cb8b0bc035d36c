/// What one source address may do: failed handshakes a minute, handshakes a second, connections at a time (protocol.md, Limits).
///
/// A source is an IPv4 address or an IPv6 /64, which one host gets whole. The windows are two buckets each: what is counted is the
/// running bucket and as much of the one before as still lies within the window. So no bucket holds more than the limit, and no stretch
/// of a window's length more than twice the limit.
///
/// **The bound.** At most `capacity` sources are known. Where a new one finds no room, one that is known goes, in this order:
///
/// 1. the one whose last failure is longest ago among those that were over their failures, if it is so no longer;
/// 2. the one that was counted longest ago among those that are not over their failures;
/// 3. the one whose last failure is longest ago among those that are.
///
/// A source with connections never goes: its count would be lost. So whoever would have a source forgotten that is over its failures must
/// first bring all the others over theirs: 65,536 addresses and 60 failures of each, within a minute. Where all have connections a new
/// source is admitted and not counted, which a capacity above the number of connections excludes.
public struct AddressThrottle: Sendable {
    /// What is allowed; 0 turns a limit off.
    public struct Limits: Equatable, Sendable {
        public var failuresPerMinute: Int
        public var handshakesPerSecond: Int
        public var connections: Int
        /// Whether loopback, private addresses and unix sockets are limited too.
        public var throttlesPrivate: Bool

        public init(
            failuresPerMinute: Int = 60,
            handshakesPerSecond: Int = 0,
            connections: Int = 0,
            throttlesPrivate: Bool = false
        ) {
            self.failuresPerMinute = failuresPerMinute
            self.handshakesPerSecond = handshakesPerSecond
            self.connections = connections
            self.throttlesPrivate = throttlesPrivate
        }

        /// The source that a connection from an address is counted under; nil where nothing limits it.
        /// - Parameter address: nil for a unix socket: all of them are one source.
        public func source(_ address: IPAddress?) -> Source? {
            guard failuresPerMinute > 0 || handshakesPerSecond > 0 || connections > 0 else { return nil }
            guard throttlesPrivate || address.map({ !$0.isPrivate }) ?? false else { return nil }
            return Source(of: address)
        }
    }

    /// An IPv4 address, or the first 64 bits of an IPv6 address.
    public struct Source: Hashable, Sendable {
        fileprivate let high: UInt64
        fileprivate let low: UInt64

        fileprivate init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }

        public init(_ address: IPAddress) {
            self.init(high: address.high, low: address.isV4 ? address.low : 0)
        }

        /// - Parameter address: nil for a unix socket.
        public init(of address: IPAddress?) {
            if let address { self.init(address) } else { self.init(high: 0, low: 0) }
        }
    }

    public enum Verdict: Equatable, Sendable {
        /// The handshake is counted, and so is its connection until ``left(_:)``.
        case admitted
        /// Not counted: who keeps knocking is not kept out for ever.
        case rateLimited(retryAfter: Milliseconds)
        case tooManyConnections
    }

    public static let standardCapacity = 65_536

    public private(set) var limits: Limits
    public private(set) var capacity: Int
    private var places: [Source: UInt32] = [:]
    private var entries: [Entry] = []
    private var free: [UInt32] = []
    private var calm = Ends()
    private var over = Ends()

    /// - Parameter capacity: how many sources are known at most.
    public init(limits: Limits, capacity: Int = standardCapacity) {
        self.limits = limits
        self.capacity = max(1, min(capacity, Int(UInt32.max) - 1))
    }

    /// Other limits hold from here on; what was counted stays. The capacity only grows.
    public mutating func change(_ limits: Limits, capacity: Int) {
        self.limits = limits
        self.capacity = max(self.capacity, min(capacity, Int(UInt32.max) - 1))
    }

    /// How many sources are known.
    public var count: Int {
        places.count
    }

    // MARK: - Events

    /// A handshake begins.
    public mutating func enter(_ source: Source, now: BootTime) -> Verdict {
        // Where only failures are limited, a source that has none costs a look-up and no entry.
        let counts = limits.handshakesPerSecond > 0 || limits.connections > 0
        guard let place = places[source] ?? (counts ? add(source, now) : nil) else { return .admitted }
        let index = Int(place)
        if let wait = entries[index].failures.wait(limits.failuresPerMinute, .minute, now) {
            return .rateLimited(retryAfter: wait)
        }
        if let wait = entries[index].handshakes.wait(limits.handshakesPerSecond, .second, now) {
            return .rateLimited(retryAfter: wait)
        }
        if limits.connections > 0, entries[index].connections >= limits.connections { return .tooManyConnections }
        guard counts else { return .admitted }
        entries[index].handshakes.count(.second, now)
        if limits.connections > 0 { entries[index].connections += 1 }
        touch(place, now)
        return .admitted
    }

    /// How long a source that has failed too often must wait; nil: it may try. Counts nothing.
    public func waitAfterFailures(_ source: Source, now: BootTime) -> Milliseconds? {
        guard let place = places[source] else { return nil }
        return entries[Int(place)].failures.wait(limits.failuresPerMinute, .minute, now)
    }

    /// A connection that ``enter(_:now:)`` admitted is gone.
    public mutating func left(_ source: Source) {
        // Without a limit connections are not counted; one that was admitted without an entry may meet a later one of its source.
        guard limits.connections > 0, let place = places[source], entries[Int(place)].connections > 0 else { return }
        entries[Int(place)].connections -= 1
        if entries[Int(place)].connections == 0 { append(place) }
    }

    /// A handshake has failed in a way that counts.
    public mutating func failed(_ source: Source, now: BootTime) {
        guard limits.failuresPerMinute > 0, let place = places[source] ?? add(source, now) else { return }
        entries[Int(place)].failures.count(.minute, now)
        touch(place, now)
    }

    /// Forgets sources, the oldest first, of which nothing counts any more: no window of theirs holds anything, and they have no connection.
    /// - Parameter limit: how many at most; the rest is for the next time.
    public mutating func forget(now: BootTime, limit: Int = 1024) {
        for _ in 0..<limit {
            let oldest = [calm.first, over.first].first { $0 != Self.none && entries[Int($0)].isForgettable(now) }
            guard let oldest else { break }
            remove(oldest)
        }
        guard entries.shrink(whileLast: { !$0.isListed && $0.connections == 0 }) else { return }
        let end = entries.count
        free = free.filter { $0 < end }
        places.shrink()
    }

    // MARK: - The table

    private struct Entry: Sendable {
        var source: Source
        var failures = Window()
        var handshakes = Window()
        var connections = 0
        /// Whether it stands in the list of those that are over their failures.
        var isOver = false
        var isListed = false
        var before = AddressThrottle.none
        var after = AddressThrottle.none

        /// Whether nothing of it counts any more.
        func isForgettable(_ now: BootTime) -> Bool {
            connections == 0 && failures.isEmpty(.minute, now) && handshakes.isEmpty(.second, now)
        }
    }

    /// A doubly linked list through the entries, the oldest first.
    private struct Ends: Sendable {
        var first = AddressThrottle.none
        var last = AddressThrottle.none
    }

    private static let none = UInt32.max

    private mutating func add(_ source: Source, _ now: BootTime) -> UInt32? {
        if places.count >= capacity, !evict(now) { return nil }
        let place: UInt32
        if let used = free.popLast() {
            place = used
            entries[Int(place)] = Entry(source: source)
        } else {
            place = UInt32(entries.count)
            entries.append(Entry(source: source))
        }
        places[source] = place
        append(place)
        return place
    }

    private mutating func evict(_ now: BootTime) -> Bool {
        var victim = calm.first
        if over.first != Self.none, victim == Self.none || !isOver(over.first, now) { victim = over.first }
        guard victim != Self.none else { return false }
        remove(victim)
        return true
    }

    private mutating func remove(_ place: UInt32) {
        unlink(place)
        places[entries[Int(place)].source] = nil
        free.append(place)
    }

    private func isOver(_ place: UInt32, _ now: BootTime) -> Bool {
        entries[Int(place)].failures.wait(limits.failuresPerMinute, .minute, now) != nil
    }

    /// Puts an entry that was just counted last in its list; one with connections into none.
    private mutating func touch(_ place: UInt32, _ now: BootTime) {
        unlink(place)
        entries[Int(place)].isOver = isOver(place, now)
        if entries[Int(place)].connections == 0 { append(place) }
    }

    private mutating func append(_ place: UInt32) {
        let isOver = entries[Int(place)].isOver
        let last = isOver ? over.last : calm.last
        entries[Int(place)].before = last
        entries[Int(place)].after = Self.none
        entries[Int(place)].isListed = true
        if last != Self.none { entries[Int(last)].after = place }
        if isOver { over.last = place } else { calm.last = place }
        if last == Self.none {
            if isOver { over.first = place } else { calm.first = place }
        }
    }

    private mutating func unlink(_ place: UInt32) {
        let entry = entries[Int(place)]
        guard entry.isListed else { return }
        entries[Int(place)].isListed = false
        if entry.before != Self.none { entries[Int(entry.before)].after = entry.after }
        if entry.after != Self.none { entries[Int(entry.after)].before = entry.before }
        if entry.isOver {
            if over.first == place { over.first = entry.after }
            if over.last == place { over.last = entry.before }
        } else {
            if calm.first == place { calm.first = entry.after }
            if calm.last == place { calm.last = entry.before }
        }
    }
}

extension Milliseconds {
    fileprivate static let minute = Milliseconds.seconds(60)
    fileprivate static let second = Milliseconds.seconds(1)
}

/// A count over a sliding window of two buckets. The first bucket begins with the first event.
private struct Window: Sendable {
    private var begin = BootTime(nanoseconds: .min)
    private var current: UInt32 = 0
    private var previous: UInt32 = 0

    /// The window as it stands now: buckets that are over have moved on.
    private func turned(_ length: Milliseconds, _ now: BootTime) -> Window {
        var window = self
        let passed = now.since(begin)
        if passed < length { return window }
        let isNext = passed < length + length
        window.previous = isNext ? current : 0
        window.current = 0
        window.begin = isNext ? begin + length : now
        return window
    }

    mutating func count(_ length: Milliseconds, _ now: BootTime) {
        self = turned(length, now)
        current = current.addingClamped(1)
    }

    /// Whether nothing that was counted lies within it.
    func isEmpty(_ length: Milliseconds, _ now: BootTime) -> Bool {
        let window = turned(length, now)
        return window.current == 0 && window.previous == 0
    }

    /// How long until one more may be counted; nil where it may be now.
    func wait(_ limit: Int, _ length: Milliseconds, _ now: BootTime) -> Milliseconds? {
        guard limit > 0 else { return nil }
        let window = turned(length, now)
        // A clock that stands before the bucket counts as its beginning.
        let passed = max(0, now.since(window.begin).count)
        // No count is greater than this, and no product overflows.
        let (limit, length) = (Int64(UInt32(clamping: limit)), length.count)
        let (current, previous) = (Int64(window.current), Int64(window.previous))
        guard current * length + previous * (length - passed) >= limit * length else { return nil }
        // The first moment at which the buckets weigh less than the limit: in this bucket, or in the next, in which this one fades.
        if current < limit { return Milliseconds(length - (limit - current) * length / previous + 1 - passed) }
        let fading = length - limit * length / current + 1
        return Milliseconds(length - passed + fading)
    }
}

extension Milliseconds {
    fileprivate static func + (left: Milliseconds, right: Milliseconds) -> Milliseconds {
        Milliseconds(left.count.addingClamped(right.count))
    }
}

extension IPAddress {
    /// Loopback, link-local (RFC 3927; RFC 4291, section 2.5.6), private (RFC 1918, RFC 4193) or shared by a carrier's customers
    /// (RFC 6598): addresses that many clients may share, or that no stranger has.
    public var isPrivate: Bool {
        guard isV4 else {
            return (high == 0 && low == 1) || high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6
        }
        let bits = UInt32(truncatingIfNeeded: low)
        return bits >> 24 == 127 || bits >> 24 == 10 || bits >> 20 == 0xAC1 || bits >> 16 == 0xC0A8
            || bits >> 16 == 0xA9FE || bits >> 22 == 0x6440 >> 6
    }
}

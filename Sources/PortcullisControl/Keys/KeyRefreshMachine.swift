import PortcullisCore

/// When a key set is fetched: on a schedule, on a name that it lacks, and again and again while its issuer is away.
///
/// Whoever opens connections can name keys that do not exist, in any number. So what a token says never brings a fetch nearer than
/// `cooldown` after the last one that a token caused, and a name that a fetch did not find causes none for a while.
struct KeyRefreshMachine {
    struct Times: Equatable {
        /// The age at which a set is fetched anew.
        var refresh = Milliseconds.seconds(600)
        /// The least time between the beginnings of two fetches that unknown names cause.
        var cooldown = Milliseconds.seconds(30)
    }

    enum Action: Equatable {
        case none
        case fetch
    }

    /// What there is to say about a fetch: once for each change, not for each attempt.
    enum News: Equatable {
        case none
        /// The first that failed, or the first after one that did not.
        case away
        /// The first that succeeded after one that failed.
        case back
    }

    /// A name that a fetch did not find.
    private struct Absence {
        var until: BootTime
        var misses: Int
    }

    let times: Times
    /// The time of the next fetch; while one is under way, nothing is due.
    private(set) var next: BootTime
    private(set) var isFetching = false
    private var failures = 0
    private var cooldownEnds = BootTime(nanoseconds: .min)
    /// The names for whose sake the next fetch is made, and those for whose sake the one under way is.
    private var wanted: Set<Identifier> = []
    private var asked: Set<Identifier> = []
    private var absent: [Identifier: Absence] = [:]

    /// More names than a fetch is made for change nothing about it.
    static let mostWanted = 64
    static let mostAbsent = 1024
    static let firstRetry = Milliseconds.seconds(1)
    static let lastRetry = Milliseconds.seconds(60)

    init(_ times: Times, now: BootTime) {
        self.times = times
        next = now
    }

    /// How many names are remembered; bounded by ``mostWanted`` and ``mostAbsent``.
    var wantedCount: Int { wanted.count }
    var absentCount: Int { absent.count }

    /// A moment has come that somebody waited for.
    mutating func timePassed(now: BootTime) -> Action {
        guard !isFetching, now >= next else { return .none }
        isFetching = true
        if !wanted.isEmpty { cooldownEnds = now + times.cooldown }
        asked = wanted
        wanted = []
        return .fetch
    }

    /// A token named a key that the set lacks.
    /// - Returns: whether the next fetch has come nearer.
    mutating func unknownKey(_ kid: Identifier, now: BootTime) -> Bool {
        // A fetch that is under way began before; if it does not help, the client comes again.
        guard !isFetching, absent[kid].map({ $0.until <= now }) ?? true else { return false }
        if wanted.count < Self.mostWanted { wanted.insert(kid) }
        let earliest = max(now, cooldownEnds)
        guard earliest < next else { return false }
        next = earliest
        return true
    }

    /// A set has come.
    /// - Parameters:
    ///   - jitter: 0 up to 1, another each time.
    ///   - holds: whether the set has a key of that name.
    mutating func fetched(now: BootTime, jitter: Double, holds: (Identifier) -> Bool) -> News {
        guard isFetching else { return .none }
        isFetching = false
        for kid in asked where !holds(kid) { miss(kid, now) }
        absent = absent.filter { !holds($0.key) }
        asked = []
        // Never later than promised: gates that started together drift apart, and no set grows older than `refresh`.
        next = now + Self.part(times.refresh, 0.8 + 0.2 * jitter)
        defer { failures = 0 }
        return failures > 0 ? .back : .none
    }

    /// No set has come: the last good one stays in force, and the names that were asked for are as unknown as before.
    mutating func failed(now: BootTime, jitter: Double) -> News {
        guard isFetching else { return .none }
        isFetching = false
        asked = []
        let doubled = Self.firstRetry.count.multipliedClamped(by: 1 << Int64(min(failures, 16)))
        let pause = Milliseconds(min(doubled, Self.lastRetry.count, times.refresh.count))
        next = now + Self.part(pause, 0.5 + 0.5 * jitter)
        failures += 1
        return failures == 1 ? .away : .none
    }

    /// The key may be about to come: an issuer signs with a new key before all its servers show it. So the first misses are
    /// forgotten soon, and later ones after twice the time each.
    private mutating func miss(_ kid: Identifier, _ now: BootTime) {
        let misses = absent[kid]?.misses ?? 0
        if absent[kid] == nil, absent.count >= Self.mostAbsent,
            let oldest = absent.min(by: { $0.value.until < $1.value.until })
        {
            absent[oldest.key] = nil
        }
        let pause = times.cooldown.count.multipliedClamped(by: 1 << Int64(min(misses, 16)))
        let longest = max(times.refresh.count, times.cooldown.count)
        absent[kid] = Absence(until: now + Milliseconds(min(pause, longest)), misses: misses + 1)
    }

    private static func part(_ time: Milliseconds, _ part: Double) -> Milliseconds {
        // Settings are bounded far below what a double holds exactly.
        Milliseconds(Int64(Double(min(time.count, 1 << 52)) * min(max(part, 0), 1)))
    }
}

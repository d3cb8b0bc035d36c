public import PortcullisCore

/// Which primary is followed, and whether the sentinels stand behind it (guarantee.md, *Which primary*).
///
/// All configured sentinels are asked again and again. Without links, any answer is worth a try, for Redis itself must say that it is the
/// primary; from a primary that is followed, only a majority that names another one leads away; and a view of its log is worth no more than
/// the time at which a majority was asked that still named it.
public struct SentinelMachine: Equatable, Sendable {
    private struct Answer: Equatable, Sendable {
        let address: RedisAddress
        let sentAt: BootTime
    }

    private let lease: Milliseconds
    /// What each sentinel answered last.
    private var answers: [Answer?]
    /// The primary that is followed, or was last tried.
    public private(set) var following: RedisAddress?
    /// How often one has been looked for without finding another.
    private var attempts = 0

    /// - Parameters:
    ///   - sentinels: how many are configured.
    ///   - lease: how long an answer counts.
    public init(sentinels: Int, lease: Milliseconds) {
        self.lease = lease
        answers = Array(repeating: nil, count: sentinels)
    }

    public var majority: Int {
        answers.count / 2 + 1
    }

    /// A sentinel answered a question that was sent at this time.
    /// - Returns: whom to follow from now on, where a majority names another than the one that is followed.
    public mutating func answered(
        _ sentinel: Int,
        _ answer: SentinelAnswer,
        sentAt: BootTime,
        now: BootTime
    ) -> RedisAddress? {
        guard answers.indices.contains(sentinel) else { return nil }
        guard case .primary(let address) = answer else {
            answers[sentinel] = nil
            return nil
        }
        answers[sentinel] = Answer(address: address, sentAt: sentAt)
        guard let following, address != following, confirmed(address, now: now) != nil else { return nil }
        self.following = address
        attempts = 0
        return address
    }

    /// Whom to connect to; nil where no sentinel has named anybody within the lease.
    /// - Parameter keeps: whether the other link stands: both lead to one Redis.
    public mutating func choose(keeps: Bool, now: BootTime) -> RedisAddress? {
        if keeps, let following { return following }
        let candidates = candidates(now: now)
        guard !candidates.isEmpty else { return nil }
        // Not the same again and again, where the sentinels do not agree and the first is no primary.
        let choice = candidates[attempts % candidates.count]
        attempts = (attempts + 1) % max(1, answers.count * 2)
        following = choice
        return choice
    }

    /// Both links to the chosen one stand.
    public mutating func connected() {
        attempts = 0
    }

    /// Whether anybody could be connected to.
    public func knowsPrimary(now: BootTime) -> Bool {
        answers.contains { $0.map { isFresh($0, now) } ?? false }
    }

    /// The time as of which a view of the followed primary may vouch: that of the question that confirmed the view, or that by which a majority
    /// had been asked that named this primary, whichever is earlier; nil where no majority has named it within the lease.
    public func vouchable(_ sentAt: BootTime, now: BootTime) -> BootTime? {
        following.flatMap { confirmed($0, now: now) }.map { min($0, sentAt) }
    }

    /// When the last majority was asked that names an address.
    private func confirmed(_ address: RedisAddress, now: BootTime) -> BootTime? {
        let times = answers.compactMap { $0 }.filter { $0.address == address && isFresh($0, now) }.map(\.sentAt)
        return times.count < majority ? nil : times.sorted(by: >)[majority - 1]
    }

    /// Those that are named, by how many and how lately.
    private func candidates(now: BootTime) -> [RedisAddress] {
        var named: [RedisAddress: (count: Int, last: BootTime)] = [:]
        for answer in answers.compactMap({ $0 }) where isFresh(answer, now) {
            let known = named[answer.address] ?? (0, answer.sentAt)
            named[answer.address] = (known.count + 1, max(known.last, answer.sentAt))
        }
        return named.sorted {
            ($1.value.count, $1.value.last, $0.key.description) < ($0.value.count, $0.value.last, $1.key.description)
        }.map(\.key)
    }

    private func isFresh(_ answer: Answer, _ now: BootTime) -> Bool {
        now.since(answer.sentAt) < lease
    }
}

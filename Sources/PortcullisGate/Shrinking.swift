import PortcullisCore
import PortcullisReactor
import Synchronization

/// Whether a crowd has gone, so that what grew with it may become small again.
struct Crowd {
    /// The most connections there were since memory was given back last.
    private var most = 0
    /// Who came and went since the last look.
    private var changes = 0
    private var nextLook = BootTime(nanoseconds: 0)
    /// Whether what the tables gave up is still to be given back to the kernel.
    private(set) var owesMemory = false
    /// When the sources that connect are looked at next.
    var nextForgetting = BootTime(nanoseconds: 0)

    private static let step = Milliseconds(1000)
    /// Fewer leave nothing behind that is worth the work.
    private static let least = 1024
    /// With more comings and goings since the last look the storm is still under way.
    private func isCalm() -> Bool {
        changes <= max(256, most / 16)
    }

    mutating func came(_ count: Int) {
        most = max(most, count)
        changes += 1
    }

    mutating func went() {
        changes += 1
    }

    /// Whether a look must follow, though nothing else happens.
    func isAwaited(_ count: Int) -> Bool {
        owesMemory || (most > Self.least && count < most / 2)
    }

    /// - Returns: whether now is the time to make the tables small: once a second at most, and in none in which many come or go.
    mutating func mayShrink(_ count: Int, now: BootTime) -> Bool {
        guard isAwaited(count), now >= nextLook else { return false }
        nextLook = now + Self.step
        defer { changes = 0 }
        guard isCalm() else { return false }
        if count < most / 2 {
            owesMemory = true
            most = count
        }
        return true
    }

    mutating func gaveBack() {
        owesMemory = false
    }
}

extension GateLoop {
    /// With the end of a turn: when a crowd has gone its memory goes back to the kernel. A survivor in a high slot keeps the tables as they
    /// are; those who come later take the lowest slots, and when it has gone the next crowd's end finds them empty.
    func shrink() {
        forgetSources()
        guard crowd.mayShrink(connectionCount, now: now) else { return }
        engine.shrink()
        lives.shrink { $0.phase == .vacant }
        registry.shrink()
        wheel.shrink()
        rooms.shrink()
        roomLinks.shrink()
        pacing.shrink()
        book.shrink()
        joining.shrink()
        refreshes.shrink()
        demands.shrink()
        held.shrink()
        unread.shrink()
        boundClients.shrink()
        unverified.shrink()
        proxyHeaders.shrink()
        giveMemoryBack()
    }

    /// Addresses of which nothing counts any more: the first loop looks for them, once a second.
    private func forgetSources() {
        guard index == 0, now >= crowd.nextForgetting else { return }
        crowd.nextForgetting = now + Milliseconds(1000)
        let now = now
        shared.throttle.withLock { $0.forget(now: now) }
    }

    /// Once in ten seconds at most, whichever loop it is: all of them wait for it.
    private func giveMemoryBack() {
        let last = shared.trimmedAt.load(ordering: .relaxed)
        guard now.nanoseconds.subtractingClamped(last) >= Self.trimInterval else { return }
        let (isMine, _) = shared.trimmedAt.compareExchange(expected: last, desired: now.nanoseconds, ordering: .relaxed)
        guard isMine else { return }
        Heap.trim()
        crowd.gaveBack()
    }

    private static let trimInterval: Int64 = 10_000_000_000
}

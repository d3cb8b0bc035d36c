import Foundation
import PortcullisReactor
import Synchronization

/// How late a thread of this process is given a processor. Where that is more than the bounds allow for, no time that is noted here means
/// anything.
final class Watch: Sendable {
    private struct Delay: Sendable {
        let end: Int64
        let span: Int64
    }

    private final class State: Sendable {
        let isOver = Atomic(false)
        let delays = Mutex<[Delay]>([])
    }

    private static let tick: Int64 = 10_000_000
    private let state = State()
    private let thread: LoopThread

    init() throws {
        let state = state
        thread = try LoopThread("watch") {
            while !state.isOver.load(ordering: .relaxed) {
                let due = Clock.boot() + Self.tick
                Thread.sleep(forTimeInterval: Double(Self.tick) / 1e9)
                let now = Clock.boot()
                // What is far below the bounds is of no interest.
                if now - due > 10 * Self.tick { state.delays.withLock { $0.append(Delay(end: now, span: now - due)) } }
            }
        }
    }

    /// Ends it and waits for that.
    func stop() {
        state.isOver.store(true, ordering: .relaxed)
        thread.join()
    }

    /// The longest delay that ended since a time, in nanoseconds; 0 where none was long.
    func longest(since time: Int64) -> Int64 {
        state.delays.withLock { $0.filter { $0.end >= time }.map(\.span).max() ?? 0 }
    }
}

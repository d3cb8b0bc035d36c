import PortcullisCore
import PortcullisReactor
import Synchronization

/// `limits.connections`: a gate that is full accepts nobody until a connection ends. Those who come meanwhile wait in the kernel's backlog;
/// whoever another loop had accepted at that very moment is refused with 503 `at_capacity` (Handshake.swift).
extension GateLoop {
    private var isAtCapacity: Bool {
        shared.connections.load(ordering: .relaxed) >= configuration.connections
    }

    /// A connection was accepted: it may have been the last.
    func lookAtCapacity() {
        guard !isFull, isAtCapacity else { return }
        isFull = true
        engine.pauseAccepting()
        // At the limit connections may come and go all the time.
        let told = shared.fullToldAt.load(ordering: .relaxed)
        guard now.nanoseconds.subtractingClamped(told) >= 60_000_000_000 else { return }
        guard shared.fullToldAt.compareExchange(expected: told, desired: now.nanoseconds, ordering: .relaxed).exchanged
        else { return }
        shared.report(.full(connections: configuration.connections))
    }

    /// There may be room again, made by this loop, by another, or by another limit.
    func lookForRoom() {
        guard isFull, !hasEnded, !isAtCapacity else { return }
        isFull = false
        engine.resumeAccepting()
    }
}

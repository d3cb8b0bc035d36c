import PortcullisCore

/// A TCP connection of a gate to Redis: bytes arrive in order, late, or not at all.
final class SimLink {
    unowned let gate: SimGate
    let server: RedisModel
    let kind: VouchMachine.Link
    let incarnation: Int
    /// From Redis' side and from the gate's it looks open; whether anything arrives is another matter.
    var isOpen = true
    /// What is sent vanishes, and nobody is told.
    var isHalfOpen = false
    /// The usual time of a message, in ms.
    let latency: Int64
    /// Until when everything takes longer, and by how much.
    var slowUntil: Int64 = 0
    var slowness: Int64 = 0
    var dropsPublished = 0
    var duplicatesPublished = false
    var reordersPublished = false
    /// On the command link: who is told of changed keys.
    var redirect: SimLink?
    private var lastToRedis: Int64 = 0
    private var lastToGate: Int64 = 0

    init(_ gate: SimGate, _ server: RedisModel, _ kind: VouchMachine.Link) {
        self.gate = gate
        self.server = server
        self.kind = kind
        incarnation = gate.incarnation
        latency = gate.world.pick(1...12)
    }

    private var world: World { gate.world }

    private func delay() -> Int64 {
        latency + world.pick(0...4) + (world.now < slowUntil ? slowness : 0)
    }

    /// A request arrives at Redis; a frozen one looks at it later.
    func toRedis(_ act: @escaping () -> Void) {
        guard isOpen else { return }
        lastToRedis = max(lastToRedis, world.now + delay())
        arrive(at: lastToRedis, act)
    }

    private func arrive(at time: Int64, _ act: @escaping () -> Void) {
        world.at(time) { [self] in
            guard isOpen, !isHalfOpen, !server.isDown else { return }
            if server.frozenUntil > world.now { return arrive(at: server.frozenUntil, act) }
            act()
        }
    }

    /// A reply or a push arrives at the gate, which may be paused.
    func toGate(reorders: Bool = false, _ act: @escaping () -> Void) {
        guard isOpen else { return }
        var time = world.now + delay()
        if reorders {
            time += world.pick(0...30)
        } else {
            lastToGate = max(lastToGate, time)
            time = lastToGate
        }
        world.at(time) { [self] in
            guard isOpen, !isHalfOpen else { return }
            gate.received { [self] in
                guard isOpen, gate.incarnation == incarnation else { return }
                act()
            }
        }
    }

    /// The connection breaks, and the gate learns it a little later.
    func sever() {
        guard isOpen else { return }
        server.subscribers.removeAll { $0 === self }
        isHalfOpen = true
        gate.faulted()
        world.at(world.now + world.pick(0...20)) { [self] in
            guard isOpen else { return }
            gate.received { [self] in gate.lost(self) }
        }
    }

    func close() {
        isOpen = false
        server.subscribers.removeAll { $0 === self }
    }
}

import PortcullisCore

/// What goes wrong, one thing after the other and several at once.
final class Faults {
    private unowned let world: World
    private var snapshot: RedisModel

    init(_ world: World) {
        self.world = world
        snapshot = RedisModel(world)
    }

    func next() {
        guard world.now < World.troubleEnds else { return heal() }
        if world.chance(30) { snapshot.copyData(from: world.primary) }
        if let gate = world.gates.randomElement(using: &world.random) { strike(gate) }
        world.at(world.now + world.pick(60...900)) { [self] in next() }
    }

    private func strike(_ gate: SimGate) {
        let link = world.chance(50) ? gate.command : gate.subscription
        let fault = world.pick(0...16)
        world.tell("fault \(fault) at gate \(gate.number), \(link?.kind == .command ? "command" : "subscription")")
        switch fault {
        case 0, 1: link?.sever()
        case 2:
            gate.command?.sever()
            gate.subscription?.sever()
        case 3, 4:
            gate.faulted()
            link?.isHalfOpen = true
        case 5, 6: slow(gate)
        case 7:
            gate.faulted()
            gate.subscription?.dropsPublished = Int(world.pick(1...3))
        case 8: gate.subscription?.duplicatesPublished = true
        case 9: gate.subscription?.reordersPublished = true
        case 10:
            allFaulted()
            world.primary.frozenUntil = world.now + world.pick(50...3000)
            world.at(world.primary.frozenUntil) { [self] in allFaulted() }
        case 11: restart(losing: { _ in })
        case 12: restart { [self] in world.chance(50) ? $0.empty() : $0.copyData(from: snapshot) }
        case 13: world.chance(50) ? failOver() : demote()
        case 14: gate.pause(world.pick(50...3000))
        case 15: if gate.isAlive { gate.kill() }
        default: gate.wallOffset += world.pick(-5000...5000)
        }
    }

    private func allFaulted() {
        for gate in world.gates { gate.faulted() }
    }

    private func slow(_ gate: SimGate) {
        gate.faulted()
        let until = world.now + world.pick(100...2500)
        for link in [gate.command, gate.subscription] where world.chance(70) {
            link?.slowUntil = until
            link?.slowness = world.pick(50...950)
            gate.slowUntil = max(gate.slowUntil, until + 1000)
        }
    }

    /// Redis ends and begins again, with what is left of its data.
    private func restart(losing change: @escaping (RedisModel) -> Void) {
        let server = world.primary
        guard !server.isDown else { return }
        allFaulted()
        server.isDown = true
        server.breakLinks()
        world.at(world.now + world.pick(20...1500)) { [self] in
            change(server)
            server.isDown = false
            server.frozenUntil = 0
            world.oracle.replaced()
            allFaulted()
        }
    }

    /// Another server is the primary from here on; the old one is gone. Nothing or the newest is lost.
    private func failOver() {
        let old = world.primary
        guard !old.isDown else { return }
        allFaulted()
        let server = RedisModel(world)
        server.copyData(from: world.chance(50) ? old : snapshot)
        old.isDown = true
        old.breakLinks()
        world.primary = server
        world.oracle.replaced()
    }

    /// Another server is the primary, and the old one lives on as its replica that nobody has told the gates of.
    private func demote() {
        let old = world.primary
        guard !old.isDown else { return }
        allFaulted()
        let server = RedisModel(world)
        server.copyData(from: old)
        old.isDemoted = true
        world.primary = server
        for gate in world.gates { gate.followedDemoted = world.now }
    }

    /// Nothing goes wrong any more.
    private func heal() {
        allFaulted()
        world.primary.frozenUntil = 0
        for gate in world.gates {
            for link in [gate.command, gate.subscription] {
                link?.slowUntil = 0
                link?.dropsPublished = 0
            }
        }
    }
}

import PortcullisCore

/// Somebody who holds a credential and wants to be connected: to whichever gate, again and again.
final class SimClient {
    unowned let world: World
    let number: Int
    let user: Identifier
    private(set) var token: Identifier = ""
    private(set) var identity: Identity
    private var place: (loop: SimLoop, slot: UInt32)?
    private var isWaiting = false

    init(_ world: World, _ number: Int) {
        self.world = world
        self.number = number
        user = Identifier("u\(number / 2)")
        identity = Identity(user: user)
        signIn()
        world.at(world.pick(0...400)) { [self] in act() }
    }

    private func signIn() {
        world.serial += 1
        token = Identifier("t\(world.serial)")
        identity = Identity(
            user: user,
            ids: [.token: token],
            issued: WallTime(milliseconds: world.now),
            expires: WallTime(milliseconds: world.now + world.pick(1500...9000))
        )
    }

    private func act() {
        if let place {
            place.loop.passByte(place.slot, number)
        } else if !isWaiting, let gate = world.gates.randomElement(using: &world.random), gate.isAlive {
            // A credential that was refused comes back too.
            if identity.expires?.milliseconds ?? 0 <= world.now || world.chance(30) { signIn() }
            isWaiting = true
            gate.loops[Int(world.pick(0...1))].handshake(number, identity, asks: world.chance(50))
        }
        world.at(world.now + world.pick(20...110)) { [self] in act() }
    }

    func admitted(_ gate: SimGate, _ loop: SimLoop, _ slot: UInt32) {
        isWaiting = false
        place = (loop, slot)
    }

    /// Refused or closed.
    func ended() {
        isWaiting = false
        place = nil
    }
}

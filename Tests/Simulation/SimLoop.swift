import PortcullisCore

/// One loop of a gate: its registry, its lease, its connections.
final class SimLoop {
    enum Mail {
        case decided(LoggedEvent)
        case vouched(BootTime)
        case deaf(Bool)
    }

    struct Connection {
        let client: Int
        let identity: Identity
        /// By the gate's own clock that never steps, in ms.
        let ends: Int64
        var presented: WallTime
        var isLive = false
    }

    unowned let gate: SimGate
    let number: Int
    var lease = LoopLease(length: World.terms.lease, freezeLimit: Milliseconds(World.freezeLimit))
    private var registry = Registry()
    private(set) var connections: [UInt32: Connection] = [:]
    private var free: [UInt32] = Array((0..<16).reversed())
    private var mailbox: [Mail] = []
    /// What a loop believes that looks at the clock by its timer only.
    private var servesByTimer = false

    init(_ gate: SimGate, _ number: Int) {
        self.gate = gate
        self.number = number
    }

    private var world: World { gate.world }

    // MARK: - Mail

    func post(_ mail: Mail) {
        mailbox.append(mail)
        guard number > 0 else { return readMail() }
        world.at(world.now + world.pick(0...3)) { [self] in if !gate.isPaused { readMail() } }
    }

    func readMail() {
        let mails = mailbox
        mailbox = []
        for mail in mails {
            switch mail {
            case .decided(let logged): enforce(logged)
            case .vouched(let sentAt): _ = lease.renew(sentAt: sentAt, now: gate.boot)
            case .deaf(let deaf): lease.isDeaf = deaf
            }
        }
        lookAtLease()
    }

    private func lookAtLease() {
        guard lease.timePassed(now: gate.boot) == .expire else { return }
        for slot in connections.keys.sorted() { close(slot, .freezeLimit) }
    }

    func timers() {
        servesByTimer = lease.mayServe(at: gate.boot)
        expire()
    }

    func expire() {
        for slot in connections.keys.sorted() {
            if let connection = connections[slot], connection.ends <= gate.boot.nanoseconds / 1_000_000 {
                close(slot, .expired)
            }
        }
    }

    private var mayServe: Bool {
        world.mistakes.contains(.leaseCheckedByTimerOnly) ? servesByTimer : lease.mayServe(at: gate.boot)
    }

    // MARK: - Admission

    /// A handshake comes. Some wait for an answer of Redis before they are through.
    func handshake(_ client: Int, _ identity: Identity, asks: Bool) {
        guard !gate.isPaused, gate.isAlive else { return world.clients[client].ended() }
        readMail()
        guard lease.mayAdmit(at: gate.boot), let slot = free.popLast() else { return refused(client, identity, nil) }
        let presented = gate.wall
        let connection = Connection(
            client: client,
            identity: identity,
            ends: identity.expires.map { (gate.boot + $0.since(presented)).nanoseconds / 1_000_000 } ?? .max,
            presented: presented
        )
        connections[slot] = connection
        let checksFirst = world.mistakes.contains(.checkBeforeRegister)
        if !checksFirst { _ = registry.register(slot, identity, presented: presented) }
        guard (identity.expires ?? presented) > presented else { return refuse(slot, nil) }
        if let verdict = verdict(connection) { return refuse(slot, verdict) }
        guard asks else {
            if checksFirst { _ = registry.register(slot, identity, presented: presented) }
            return admit(slot)
        }
        guard let command = gate.command else { return refuse(slot, nil) }
        command.toRedis { [self] in
            command.toGate { [self] in
                readMail()
                guard let waiting = connections[slot], waiting.identity === identity, !waiting.isLive else { return }
                guard lease.mayAdmit(at: gate.boot) else { return refuse(slot, nil) }
                if checksFirst {
                    _ = registry.register(slot, identity, presented: presented)
                } else if let verdict = verdict(waiting) {
                    return refuse(slot, verdict)
                }
                admit(slot)
            }
        }
        // Redis may never answer.
        world.at(world.now + 500) { [self] in
            guard let waiting = connections[slot], waiting.identity === identity, !waiting.isLive else { return }
            refuse(slot, nil)
        }
    }

    private func verdict(_ connection: Connection) -> StandingDecisions.Verdict? {
        gate.standing.verdict(
            on: connection.identity,
            from: nil,
            presented: connection.presented,
            now: WallTime(milliseconds: world.now)
        )
    }

    private func admit(_ slot: UInt32) {
        guard let connection = connections[slot], registry.admit(slot) else { return refuse(slot, .revoked) }
        connections[slot]?.isLive = true
        world.oracle.admitted(gate, connection)
        world.clients[connection.client].admitted(gate, self, slot)
    }

    private func refuse(_ slot: UInt32, _ verdict: StandingDecisions.Verdict?) {
        guard let connection = remove(slot) else { return }
        refused(connection.client, connection.identity, verdict)
    }

    private func refused(_ client: Int, _ identity: Identity, _ verdict: StandingDecisions.Verdict?) {
        if let verdict { world.oracle.refused(gate, identity, gate.wall, verdict) }
        world.clients[client].ended()
    }

    // MARK: - Serving

    /// A byte of the application comes from the client, or would go to it.
    func passByte(_ slot: UInt32, _ client: Int) {
        guard gate.isAlive, !gate.isPaused else { return }
        readMail()
        touch(slot, client)
    }

    private func touch(_ slot: UInt32, _ client: Int) {
        guard let connection = connections[slot], connection.isLive, connection.client == client, mayServe else {
            return
        }
        world.oracle.passed(gate, connection)
    }

    /// The clients' part of a turn, right after the process was paused: all have sent something.
    func clientsTurn() {
        for slot in connections.keys.sorted() {
            if let connection = connections[slot] { touch(slot, connection.client) }
        }
    }

    // MARK: - Closing

    private func enforce(_ logged: LoggedEvent) {
        let covered: (Identity, WallTime) -> Bool
        let select: Selector
        switch logged.event.decision {
        case .revoke(let revocation):
            select = revocation.select
            covered = { identity, presented in
                switch revocation.issuedBefore {
                case .never: true
                case .time(let time): identity.wasIssued(upTo: time, presented: presented)
                case .append:
                    identity.wasIssued(upTo: WallTime(milliseconds: logged.order), presented: presented)
                }
            }
        case .block(let blocked, _, _):
            select = blocked
            covered = { _, _ in true }
        default: return
        }
        var slots: [UInt32] = []
        registry.forEachCandidate(select) { slot, identity in
            if let presented = registry.presented(slot), select.matches(identity, from: nil),
                covered(identity, presented)
            {
                slots.append(slot)
            }
        }
        for slot in slots { close(slot, .decided(logged.key)) }
    }

    private func close(_ slot: UInt32, _ reason: Oracle.Reason) {
        guard let connection = remove(slot) else { return }
        if connection.isLive { world.oracle.closed(gate, connection, reason) }
        world.clients[connection.client].ended()
    }

    private func remove(_ slot: UInt32) -> Connection? {
        guard let connection = connections.removeValue(forKey: slot) else { return nil }
        registry.remove(slot)
        free.append(slot)
        return connection
    }

    /// The process has ended.
    func dropAll() {
        for slot in connections.keys.sorted() {
            if let connection = connections[slot] { world.clients[connection.client].ended() }
        }
        connections = [:]
        mailbox = []
    }
}

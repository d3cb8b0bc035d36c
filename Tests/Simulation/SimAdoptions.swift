import PortcullisCore

/// Events that a gate has heard and that were only published: enforced at once, and offered to the log until it is known to hold them.
struct SimAdoptions {
    /// How often what waits is offered again, in ms.
    static let interval: Int64 = 200

    fileprivate(set) var waiting: [Event] = []
    fileprivate(set) var asked: [Event] = []
    fileprivate var next: Int64 = 0

    /// The answers that were still to come will not come.
    mutating func linkLost() {
        waiting += asked
        asked = []
    }
}

extension SimGate {
    /// The channel brought what the log is said to hold.
    func heard(_ entry: LogEntry) {
        perform(machine.heard(entry, now: boot))
    }

    /// The channel brought what nobody has appended.
    func heardBare(_ event: Event) {
        guard let key = event.id else { return }
        let logged = LoggedEvent(key: key, order: max(world.now, wall.milliseconds), event: event)
        if standing.applyBare(logged) {
            world.oracle.guessed(self, key, logged.order)
            post(.decided(logged))
        }
        adopt(event)
    }

    private func adopt(_ event: Event) {
        guard let key = event.id else { return }
        guard let command else { return adoptions.waiting.append(event) }
        adoptions.asked.append(event)
        command.toRedis { [self] in
            let isRepeated = command.server.seen[key] != nil
            let looks = !world.mistakes.contains(.adoptWithoutSeen)
            let order = command.server.append(event, key: key, order: nil, looksAtSeen: looks)
            command.toGate { [self] in adopted(event, order, isRepeated: isRepeated) }
        }
    }

    private func adopted(_ event: Event, _ order: Int64?, isRepeated: Bool) {
        guard let key = event.id, let place = adoptions.asked.firstIndex(where: { $0.id == key }) else { return }
        adoptions.asked.remove(at: place)
        guard let order else { return adoptions.waiting.append(event) }
        guard !isRepeated || standing.isGuess(key) else { return }
        standing.apply(LoggedEvent(key: key, order: order, event: event))
        world.oracle.learnt(self, key)
        world.oracle.replacedGuess(self, key)
    }

    func offerWaiting() {
        guard world.now >= adoptions.next, command != nil else { return }
        adoptions.next = world.now + SimAdoptions.interval
        let waiting = adoptions.waiting
        adoptions.waiting = []
        for event in waiting { adopt(event) }
    }
}

extension World {
    /// Somebody publishes instead of appending, and somebody else forges.
    func publishOften() {
        if !primary.isDown, primary.frozenUntil <= now { chance(60) ? publishBare() : forge() }
        guard now < Self.troubleEnds else { return }
        at(now + pick(100...700)) { [self] in publishOften() }
    }

    private func publishBare() {
        guard let client = clients.randomElement(using: &random) else { return }
        decisions += 1
        let key = Identifier("b\(decisions)")
        let decision: Decision =
            chance(60)
            ? .revoke(.init(select: Selector(ids: [.user: client.user]), issuedBefore: .append))
            : .revoke(.init(select: Selector(ids: [.token: client.token]), issuedBefore: .never))
        let event = Event(id: key, decision: decision)
        oracle.published(LoggedEvent(key: key, order: now, event: event))
        let count = primary.publish { $0.heardBare(event) }
        tell("only published \(key), to \(count)")
    }

    /// What looks like an entry of the log and is none: about nobody, but under an id or a place that matters.
    private func forge() {
        let decision = Decision.revoke(.init(select: Selector(ids: [.user: "nobody"]), issuedBefore: .append))
        let known = chance(60) ? primary.log.randomElement(using: &random) : nil
        decisions += 1
        let key = known?.logged.key ?? Identifier("f\(decisions)")
        let order = known.map { chance(50) ? $0.logged.order + 1 : $0.logged.order } ?? now
        let milliseconds = UInt64(chance(50) ? now + pick(0...100) : now + 1_000_000_000)
        let position = LogPosition(milliseconds: milliseconds, sequence: UInt64(pick(0...3)))
        let previous = chance(50) ? primary.log.last?.position : LogPosition(milliseconds: milliseconds, sequence: 0)
        let entry = LogEntry(
            position: position,
            previous: previous,
            key: key,
            order: order,
            version: nil,
            event: Event(id: key, decision: decision)
        )
        tell("forged \(key) at \(position)")
        primary.publish { gate in
            // Not covered: a forgery that comes before its original was read. It is believed until then.
            guard gate.machine.position ?? .zero >= known?.position ?? .zero else { return }
            gate.heard(entry)
        }
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization

/// Rooms on the links: which channels are subscribed to, what is published there, and what comes from them.
extension Uplink {
    func obey(_ order: RoomOrder, loop: Int) {
        switch order {
        case .want(let resource, let serial): want(resource, loop, serial)
        case .release(let resource):
            if rooms.interest.release(resource, loop: loop) { say("UNSUBSCRIBE", resource) }
            if rooms.interest.loops(of: resource).isEmpty { forgetReturns(of: resource) }
        case .publish(let relayed, let message): publish(relayed, message)
        case .permission(let user, let resource, let stream): askMembership(user, resource, stream, loop: loop)
        case .presence(let change): changePresence(change)
        }
    }

    // MARK: - Subscriptions

    private func want(_ resource: Identifier, _ loop: Int, _ serial: UInt64) {
        switch rooms.interest.want(resource, loop: loop, serial: serial) {
        case .nothing: break
        case .subscribe: say("SUBSCRIBE", resource)
        case .stands: tell(loop, .roomNews(.stands(resource, serial: serial)))
        case .unavailable: tell(loop, .roomNews(.unavailable(resource, serial: serial, isFull: false)))
        case .full: tell(loop, .roomNews(.unavailable(resource, serial: serial, isFull: true)))
        }
    }

    private func say(_ word: String, _ resource: Identifier) {
        Command([Array(word.utf8), keys.room(resource)]).encode(into: &rooms.output)
    }

    /// All of a turn in one write.
    func flushRooms() {
        guard !rooms.output.isEmpty, subscription.machine.isReady, let stream = subscription.stream else { return }
        loop.engine.send(stream, rooms.output)
        rooms.output.removeAll(keepingCapacity: rooms.output.count <= 1 << 16)
    }

    /// The subscription link stands: behind its own channels come those of the rooms.
    func subscribeRooms() {
        rooms.output = []
        for resource in rooms.interest.connected() { say("SUBSCRIBE", resource) }
    }

    func roomsLost() {
        rooms.output = []
        rooms.interest.lost()
        forgetAllReturns()
        shared.tellAll(.roomNews(.lost))
    }

    /// The resource of a room's channel; nil where it is another channel.
    func room(_ channel: [UInt8]) -> Identifier? {
        let prefix = keys.rooms.utf8
        guard channel.starts(with: prefix) else { return nil }
        return Identifier(bytes: Array(channel.dropFirst(prefix.count)))
    }

    func roomSubscribed(_ resource: Identifier) {
        for (loop, serial) in rooms.interest.acknowledged(resource) {
            tell(loop, .roomNews(.stands(resource, serial: serial)))
        }
    }

    // MARK: - Publishing

    private func publish(_ relayed: Relayed, _ message: [UInt8]) {
        guard command.machine.isReady else {
            shared.publishing.bytes.subtract(message.count, ordering: .relaxed)
            deliver(relayed)
            return notSent(relayed.resource, isMissedHere: false)
        }
        // The members of this gate have it when it comes back; where it does not, they have it at once.
        let comesBack =
            subscription.machine.isReady && rooms.interest.isConnected && rooms.interest.stands(relayed.resource)
        if !comesBack { deliver(relayed) }
        send(relayed, message, isDelivered: !comesBack)
    }

    private func send(_ relayed: Relayed, _ message: [UInt8], isDelivered: Bool) {
        let placed = RoomMessage.placed(message, at: machine.newestKnown, isDelivered: isDelivered)
        let command = Command([Array("PUBLISH".utf8), keys.room(relayed.resource), placed])
        let returning = isDelivered ? 0 : placed.count
        if returning > 0 {
            rooms.returning[relayed.resource, default: 0] += returning
            shared.publishing.bytes.add(returning, ordering: .relaxed)
        }
        pending.append(command, .published(relayed, bytes: message.count, returning: returning))
    }

    func published(_ relayed: Relayed, bytes: Int, returning: Int, _ value: RESPValue) {
        shared.publishing.bytes.subtract(bytes, ordering: .relaxed)
        guard let error = value.errorText else { return }
        returned(relayed.resource, returning)
        shared.report(.roomNotPublished(String(error.prefix(80))))
        deliver(.missed(relayed.resource))
    }

    /// The link was lost before Redis answered.
    func abandonPublished(_ relayed: Relayed, bytes: Int) {
        shared.publishing.bytes.subtract(bytes, ordering: .relaxed)
        // Whether it will come back nobody knows.
        forgetReturns(of: relayed.resource)
        notSent(relayed.resource, isMissedHere: true)
    }

    // MARK: - On the way back

    // What a member says counts as on its way until it has come back: Redis holds only so much for a subscriber that does not keep up.

    private func returned(_ resource: Identifier, _ bytes: Int) {
        guard let outstanding = rooms.returning[resource] else { return }
        shared.publishing.bytes.subtract(min(bytes, outstanding), ordering: .relaxed)
        rooms.returning[resource] = outstanding > bytes ? outstanding - bytes : nil
    }

    /// They come back no more, or are of no concern.
    private func forgetReturns(of resource: Identifier) {
        guard let outstanding = rooms.returning.removeValue(forKey: resource) else { return }
        shared.publishing.bytes.subtract(outstanding, ordering: .relaxed)
    }

    private func forgetAllReturns() {
        for resource in Array(rooms.returning.keys) { forgetReturns(of: resource) }
    }

    private func notSent(_ resource: Identifier, isMissedHere: Bool) {
        guard rooms.unsent.count < RoomDesk.mostUnsent || rooms.unsent[resource] != nil else { return }
        rooms.unsent[resource] = isMissedHere || rooms.unsent[resource] ?? false
    }

    /// The command link stands again: members are told what they may have missed.
    func publishMissed() {
        let unsent = rooms.unsent
        rooms.unsent = [:]
        let node = Identifier(configuration.node)
        for (resource, isMissedHere) in unsent {
            if isMissedHere { deliver(.missed(resource)) }
            let connection = ConnectionID(instance: shared.instance, serial: 0)
            let message = RoomMessage(node: node, connection: connection, user: nil, .missed).encode()
            shared.publishing.bytes.add(message.count, ordering: .relaxed)
            send(.missed(resource), message, isDelivered: true)
        }
    }

    // MARK: - What comes

    func roomReceived(_ resource: Identifier, _ payload: [UInt8]) {
        // The last member left, and Redis has not heard of it.
        guard !rooms.interest.loops(of: resource).isEmpty else { return }
        do throws(RoomMessageRejection) {
            guard let message = try RoomMessage.decode(payload, limit: rooms.limit, &rooms.json) else { return }
            let isOwn =
                message.connection?.instance == shared.instance && message.node == Identifier(configuration.node)
            if message.content.isPresence {
                // Said by scripts.
                guard configuration.presence else { return }
            } else if isOwn {
                // Members of this gate have it already.
                if message.isDelivered { return }
                returned(resource, payload.count)
            }
            // A place that the log can't have reached yet: nobody could wait for it.
            if let at = message.at, let latest, at > latest, at > machine.newestKnown { throw .badField("at") }
            take(message, resource)
        } catch {
            returned(resource, payload.count)
            rooms.rejected += 1
            rooms.lastRejection = error
        }
    }

    private func take(_ message: RoomMessage, _ resource: Identifier) {
        let relayed = Relayed(
            resource: resource,
            user: message.user,
            connection: message.connection,
            content: message.content
        )
        let at = message.at ?? .zero
        let isFree = machine.hasTold(upTo: at) && rooms.permits.mayPass(resource) { machine.hasTold(upTo: $0) }
        if isFree, !rooms.held.holds(resource) { return deliver(relayed) }
        guard rooms.held.append(relayed, at: at, now: now) else {
            return deliver(.missed(resource))
        }
        if !machine.hasTold(upTo: at) { perform(machine.readNow(now: now)) }
    }

    /// A permit that was only published is heard: nobody hears what was said behind it before it is known what it changes. Also where the
    /// room has no members here: somebody may be joining it.
    func permitHeard(_ event: Event, _ key: Identifier) {
        if case .permit(let permit) = event.decision { rooms.permits.begin(key, on: permit.resource) }
    }

    /// - Parameter place: where the log has it; nil: it changes nothing, or it was given up.
    func permitAdopted(_ adoption: Adoption, at place: String?) {
        guard case .permit(let permit) = adoption.event.decision, !rooms.permits.isEmpty else { return }
        rooms.permits.end(adoption.key, on: permit.resource, at: place.flatMap { LogPosition(Identifier($0)) })
        if rooms.held.holds(permit.resource) { perform(machine.readNow(now: now)) }
    }

    /// To the loops that have members, behind all decisions that they have been told of.
    private func deliver(_ relayed: Relayed) {
        for index in rooms.interest.loops(of: relayed.resource).keys {
            let gauge = shared.relaying[index]
            if rooms.overfull[index]?.contains(relayed.resource) == true { continue }
            guard gauge.bytes.load(ordering: .relaxed) < RoomDesk.mostOnTheWay else {
                rooms.overfull[index, default: []].insert(relayed.resource)
                continue
            }
            gauge.bytes.add(relayed.weight, ordering: .relaxed)
            tell(index, .relayed(relayed))
        }
    }

    /// Behind all that the turn has brought.
    func tendRooms() {
        if !rooms.held.isEmpty {
            var permits = rooms.permits
            let free = rooms.held.take { resource, at in
                machine.hasTold(upTo: at) && permits.mayPass(resource) { machine.hasTold(upTo: $0) }
            }
            rooms.permits = permits
            for relayed in free { deliver(relayed) }
            for resource in rooms.held.expire(now: now) { deliver(.missed(resource)) }
        }
        if !rooms.permits.isEmpty { rooms.permits.prune { machine.hasTold(upTo: $0) } }
        for (index, resources) in rooms.overfull
        where shared.relaying[index].bytes.load(ordering: .relaxed) < RoomDesk.mostOnTheWay / 2 {
            rooms.overfull[index] = nil
            for resource in resources {
                let relayed = Relayed.missed(resource)
                shared.relaying[index].bytes.add(relayed.weight, ordering: .relaxed)
                tell(index, .relayed(relayed))
            }
        }
        if rooms.rejected > 0, now >= rooms.nextReport, let last = rooms.lastRejection {
            shared.report(.roomMessagesRejected(rooms.rejected, last))
            rooms.rejected = 0
            rooms.nextReport = now + Milliseconds(1000)
        }
        flushRooms()
    }

    // MARK: - Permissions

    private func askMembership(_ user: Identifier, _ resource: Identifier, _ stream: StreamID, loop: Int) {
        guard command.machine.isReady, pending.count < Self.mostQuestions else {
            return membershipRead(resource, stream, loop, .unavailable("Redis can't be asked"))
        }
        let command = Command([Array("HGET".utf8), keys.permissions(of: user), resource.bytes])
        pending.append(command, .membership(resource, stream, loop: loop))
    }

    func membershipRead(_ resource: Identifier, _ stream: StreamID, _ loop: Int, _ answer: Answer) {
        tell(loop, .roomNews(.permission(stream, resource, answer)))
    }
}

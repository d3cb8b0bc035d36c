import PortcullisCore

/// Redis, as far as the gates can tell: the stream, the standing decisions, the script that appends, pub/sub and the epoch.
final class RedisModel {
    unowned let world: World
    var log: [(position: LogPosition, logged: LoggedEvent)] = []
    var standing: [LoggedEvent] = []
    var seen: [Identifier: (position: LogPosition, order: Int64)] = [:]
    var order: Int64 = 0
    var epoch: [UInt8]?
    /// Down: no link can be made to it.
    var isDown = false
    var frozenUntil: Int64 = 0
    /// Demoted: it reads, and refuses to write.
    var isDemoted = false
    var subscribers: [SimLink] = []

    init(_ world: World) {
        self.world = world
    }

    /// A copy of the data alone, as a snapshot or a replica has it.
    func copyData(from other: RedisModel) {
        (log, standing, seen) = (other.log, other.standing, other.seen)
        (order, epoch) = (other.order, other.epoch)
    }

    func empty() {
        log = []
        standing = []
        seen = [:]
        order = 0
        epoch = nil
    }

    func has(_ key: Identifier) -> Bool {
        log.contains { $0.logged.key == key } || standing.contains { $0.key == key }
    }

    func setEpoch() {
        guard !isDemoted, epoch == nil else { return }
        epoch = [UInt8.random(in: 0...255, using: &world.random), UInt8.random(in: 0...255, using: &world.random)]
    }

    /// The script. Whatever could fail does so before anything is written.
    /// - Returns: the order; nil where it failed.
    func append(
        _ event: Event,
        key: Identifier,
        order given: Int64?,
        fails: Bool = false,
        looksAtSeen: Bool = true
    ) -> Int64? {
        guard !isDown, !isDemoted else { return nil }
        if looksAtSeen, let known = seen[key], given == nil || log.contains(where: { $0.position == known.position }) {
            return known.order
        }
        let order = given ?? max(world.now, self.order + 1)
        let last = log.last?.position
        let position = LogPosition(
            milliseconds: max(UInt64(world.now), last?.milliseconds ?? 0),
            sequence: UInt64(world.now) > last?.milliseconds ?? 0 ? 0 : (last?.sequence ?? 0) + 1
        )
        let logged = LoggedEvent(key: key, order: order, event: event)
        let entry = LogEntry(
            position: position,
            previous: last ?? .zero,
            key: key,
            order: order,
            version: nil,
            event: event
        )
        if world.mistakes.contains(.publishBeforeAppend) { publish(entry) }
        guard !fails else { return nil }
        setEpoch()
        log.append((position, logged))
        self.order = max(self.order, order)
        seen[key] = (position, order)
        if Self.outlives(event.decision) {
            standing.removeAll { $0.key == key }
            standing.append(logged)
        }
        world.oracle.appended(logged, given: given)
        if !world.mistakes.contains(.publishBeforeAppend) { publish(entry) }
        return order
    }

    private static func outlives(_ decision: Decision) -> Bool {
        switch decision {
        case .block, .unblock: true
        case .revoke(let revocation): revocation.select.canMatchSession
        default: false
        }
    }

    private func publish(_ entry: LogEntry) {
        publish { gate in
            gate.channelPosition = max(gate.channelPosition, entry.position)
            gate.heard(entry)
        }
    }

    /// Whatever is published, to all who listen.
    /// - Returns: how many those are.
    @discardableResult
    func publish(_ act: @escaping (SimGate) -> Void) -> Int {
        let told = subscribers.filter(\.isOpen)
        for link in told {
            let gate = link.gate
            if link.dropsPublished > 0 {
                link.dropsPublished -= 1
                gate.faulted()
                continue
            }
            let copies = link.duplicatesPublished ? 2 : 1
            for _ in 0..<copies {
                link.toGate(reorders: link.reordersPublished) { act(gate) }
            }
        }
        return told.count
    }

    /// Every link to it breaks, as when the process ends.
    func breakLinks() {
        subscribers = []
        for gate in world.gates {
            for link in [gate.command, gate.subscription] {
                if let link, link.server === self { link.sever() }
            }
        }
    }
}

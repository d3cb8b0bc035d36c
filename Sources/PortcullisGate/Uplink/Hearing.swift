import PortcullisCore
import PortcullisRedis
import PortcullisWire
import Synchronization

/// What Redis pushes: events, what is said to this gate alone, and the keys that have changed.
extension Uplink {
    func pushed(_ push: Push) {
        switch push {
        case .subscribed(let channel):
            if let resource = room(channel) { return roomSubscribed(resource) }
            subscribed += 1
            guard subscribed == Self.channelCount else { break }
            perform(machine.subscribed(now: now, random: .random(in: .min ... .max)))
        case .message(let channel, let payload):
            if let resource = room(channel) {
                roomReceived(resource, payload)
            } else if channel.elementsEqual(keys.events.utf8) {
                eventReceived(payload)
            } else {
                controlReceived(payload)
            }
        case .invalidated(let changed):
            if changed?.contains(probeKey) ?? true { machine.probeInvalidated() }
            invalidated(changed)
        case .unsubscribed, .pong: break
        }
    }

    private func eventReceived(_ payload: [UInt8]) {
        do throws(EventRejection) {
            let trust = trust(retention: configuration.appendPolicy.retention)
            switch try ChannelMessage.decode(payload, roles: configuration.roles, trust: trust) {
            case .logged(let entry):
                try check(entry.logged, behind: machine.position)
                perform(machine.heard(entry, now: now, latest: latest))
            case .bare(let event, let payload):
                // Once adopted it would be refused: it is refused now.
                if event.decision.isLogged { try checkAge(event, at: shared.redisTime()) }
                bareReceived(event, payload)
            }
        } catch {
            rejected(error, position: nil)
        }
    }

    /// How far the log's clock may be ahead of what is known of it.
    private static let clockLeeway = Milliseconds.seconds(60)

    /// The last place that the log can have reached; nil before Redis has told its time.
    var latest: LogPosition? {
        guard shared.knowsRedisTime.load(ordering: .relaxed) else { return nil }
        let time = shared.redisTime() + Self.clockLeeway
        return LogPosition(milliseconds: UInt64(clamping: time.milliseconds), sequence: .max)
    }

    private func invalidated(_ changed: [[UInt8]]?) {
        guard let sessions else { return }
        // No keys named: every key may have changed (FLUSHALL).
        guard let changed else { return sessionsUncertain() }
        for id in changed.compactMap({ sessions.key.id($0) ?? sessionKeys[$0] }) {
            knownSessions.changed(id)
            readSession(id)
        }
    }
}

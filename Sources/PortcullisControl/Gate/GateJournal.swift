import Logging
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisWire

/// What a gate reports, as lines of the log. Never a credential: reports hold none.
struct GateJournal: Sendable {
    let logger: Logger

    /// What a failover can do to a decision, said once at the start.
    private func write(_ bound: ReplicationBound, _ hasSentinels: Bool) {
        switch bound {
        case .bounded(let time):
            logger.info(
                "a primary that is cut off from its replicas takes no writes; decisions hold across a failover",
                metadata: ["bound_ms": "\(time.count)"]
            )
        case .unbounded where hasSentinels:
            logger.info("the sentinels' majority bounds a failover; min-replicas-to-write is 0")
        case .unbounded:
            logger.info(
                "a failover that leaves the old primary alive is outside the guarantee: set min-replicas-to-write to 1 or more"
            )
        case .unknown(let error):
            logger.warning(
                "CONFIG GET min-replicas-* can't be asked, so it is not known what holds in a failover; allow the gate's user CONFIG|GET",
                metadata: ["reason": "\(error)"]
            )
        }
    }

    func write(_ report: GateReport) {
        switch report {
        case .redisReady:
            logger.info("Redis is connected")
        case .redisLost(let reason):
            logger.error("Redis is lost; trying again for ever", metadata: ["reason": "\(reason)"])
        case .sentinelLost(let address, let why):
            logger.error("a sentinel can't be asked", metadata: ["sentinel": "\(address)", "reason": "\(why)"])
        case .replication(let bound, let hasSentinels):
            write(bound, hasSentinels)
        case .replicasMissing(let asked, let have, let error):
            logger.warning(
                "an adopted event has fewer replicas than redis.wait_replicas asks for",
                metadata: ["asked": "\(asked)", "have": "\(have.map(String.init) ?? error ?? "unknown")"]
            )
        case .vouching(let position):
            logger.notice("admitting connections", metadata: ["position": "\(position)"])
        case .notVouching(let reason):
            logger.error("nobody is admitted until the log can be followed again", metadata: ["reason": "\(reason)"])
        case .froze(serves: false):
            logger.error("frozen: the log cannot be followed, so nobody is admitted and nothing passes until it can")
        case .froze(serves: true):
            logger.error("the log cannot be followed; guarantee.mode best_effort: revoked users may be served")
        case .thawed(let span):
            logger.notice("the log is followed again", metadata: ["frozen_ms": "\(span.count)"])
        case .freezeLimitReached:
            logger.error("guarantee.freeze_limit is reached: everybody is closed")
        case .restoring(let count):
            logger.warning("Redis has lost decisions: they are put back", metadata: ["decisions": "\(count)"])
        case .eventRejected(let rejection):
            logger.error(
                "an event was refused",
                metadata: ["why": "\(rejection.label)", "detail": "\(rejection)"]
            )
        case .eventNotAdopted(let why):
            logger.error("a published event could not be put into the log", metadata: ["why": "\(why)"])
        case .roomMessagesRejected(let count, let rejection):
            logger.error(
                "messages in rooms were refused",
                metadata: ["messages": "\(count)", "detail": "\(rejection)"]
            )
        case .roomNotPublished(let why):
            logger.error("a message for a room could not be published", metadata: ["why": "\(why)"])
        case .presenceNotKept(let why):
            logger.error("who is in rooms can't be kept (resources.presence)", metadata: ["why": "\(why)"])
        case .logEntryRejected(let position, let rejection):
            logger.error(
                "an entry of the log cannot be read",
                metadata: ["position": "\(position)", "why": "\(rejection.label)", "detail": "\(rejection)"]
            )
        case .decided(let type, let event, let matched, let closed, let microseconds):
            logger.info(
                "enforced",
                metadata: [
                    "type": "\(type)", "event": "\(event)", "matched": "\(matched)", "closed": "\(closed)",
                    "us": "\(microseconds)",
                ]
            )
        case .refused(let handshake, let refusal):
            logger.info(
                "refused",
                metadata: [
                    "request_id": "\(handshake.request)", "code": "\(refusal.outcome.rawValue)",
                    "detail": "\(refusal.detail)", "credential": "\(handshake.credential.rawValue)",
                    "ip": "\(handshake.address?.description ?? "unix")",
                ]
            )
        case .refreshRefused(let connection, let address, let refusal):
            logger.info(
                "refresh refused",
                metadata: [
                    "connection": "\(connection)", "code": "\(refusal.outcome.rawValue)",
                    "detail": "\(refusal.detail)", "ip": "\(address?.description ?? "unix")",
                ]
            )
        case .unknownKey:
            // The refusal says it; the keeper of the keys hears it another way.
            break
        case .keysWithdrawn(let closed, let refused):
            logger.notice(
                "connections of a withdrawn key were closed",
                metadata: ["closed": "\(closed)", "refused_handshakes": "\(refused)"]
            )
        case .admitted(let connection, let user, let credential, let address):
            logger.debug(
                "admitted",
                metadata: [
                    "connection": "\(connection)", "user": "\(user)", "credential": "\(credential.rawValue)",
                    "ip": "\(address?.description ?? "unix")",
                ]
            )
        case .closed(let connection, let user, let code, let reason):
            logger.debug(
                "closed",
                metadata: [
                    "connection": "\(connection)", "user": "\(user)", "code": "\(code)", "reason": "\(reason)",
                ]
            )
        case .sessionsLackCreation:
            logger.warning(
                "sessions do not say when they were made, or name a time to come: each counts from when a gate first saw it; name their field in sessions.created_field"
            )
        case .sessionsNotRenewed(let why):
            logger.error("sessions in use can't be renewed (sessions.touch)", metadata: ["why": "\(why)"])
        case .forwardNotTrusted(let peer):
            logger.warning(
                "a request came with X-Forwarded-For from a peer that is not in proxy.trusted: if that is your proxy, list it there, or all its clients count as one",
                metadata: ["peer": "\(peer.map(\.description) ?? "a unix socket")"]
            )
        case .forwardUnreadable(let peer):
            logger.warning(
                "a proxy of proxy.trusted sent an X-Forwarded-For that names no address; the proxy's own is taken",
                metadata: ["peer": "\(peer)"]
            )
        case .full(let connections):
            logger.error(
                "limits.connections is reached: nobody is accepted until a connection ends",
                metadata: ["connections": "\(connections)"]
            )
        case .acceptFailed(let why):
            logger.error("connections can't be accepted", metadata: ["why": "\(why)"])
        case .loopFailed(let why):
            logger.critical("a loop could not start", metadata: ["why": "\(why)"])
        case .stopped:
            logger.info("the gate has stopped")
        }
    }
}

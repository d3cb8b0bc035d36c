import PortcullisCore
import PortcullisReactor
import PortcullisRedis

/// Which Redis the links lead to, and how safe an append there is.
extension Uplink {
    /// Begins a connection to the primary that the sentinels name.
    func connectToPrimary(_ kind: Kind) {
        let other = kind == .command ? subscription : command
        guard let address = sentinels?.choose(keeps: other.stream != nil) else {
            return lost(kind, "No sentinel names a primary.")
        }
        connect(kind, to: address)
    }

    /// A majority of the sentinels names another primary than the one that is followed: both links go there, at once.
    func primaryMoved(to address: RedisAddress) {
        let reason = "The sentinels name another primary: \(address)."
        lost(.command, reason)
        lost(.subscription, reason)
        command.machine = LinkMachine()
        subscription.machine = LinkMachine()
    }

    /// A majority stands behind the primary again: the log need not wait for its next turn.
    func majorityReached() {
        if !isPrimaryNamed { perform(machine.readNow(now: now)) }
    }

    /// The time as of which a view may vouch that was confirmed by a question of `sentAt`; nil: not at all. (guarantee.md, *Which primary*)
    func primaryConfirmed(sentAt: BootTime) -> BootTime? {
        guard let sentinels else { return sentAt }
        return sentinels.primaryConfirmed(sentAt: sentAt)
    }

    // MARK: - Replicas

    /// Once at the start: what a failover can lose is up to Redis' own settings.
    func askReplication() {
        if !knowsReplication { pending.append(Command("CONFIG", "GET", "min-replicas-*"), .replication) }
    }

    func replicationRead(_ value: RESPValue) {
        knowsReplication = true
        shared.report(.replication(ReplicationBound(value, lease: configuration.lease), hasSentinels: sentinels != nil))
    }

    /// Behind the appends of this turn: one command for all of them, and no second one before its answer, for it blocks the link.
    func waitForReplicas() {
        guard configuration.waitReplicas > 0, owesWait, !isWaitingForReplicas, command.machine.isReady else { return }
        owesWait = false
        isWaitingForReplicas = true
        pending.append(WaitCommand.command(configuration.waitReplicas, patience: waitPatience), .replicas)
    }

    /// Short beside the lease: meanwhile the log can't be read.
    private var waitPatience: Milliseconds {
        Milliseconds(max(1, configuration.lease.count / 10))
    }

    func replicasCounted(_ value: RESPValue) {
        isWaitingForReplicas = false
        if let count = value.integer, count >= configuration.waitReplicas { return }
        shared.report(
            .replicasMissing(asked: configuration.waitReplicas, have: value.integer.map { Int($0) }, value.errorText)
        )
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Synchronization

/// What a gate does each second, and what others ask of it: heartbeat and probe, receipts, queries, and the goodbye.
extension Uplink {
    private static let queriesAtOnce = 64

    func performDuties() {
        let actions = machine.timePassed(now: now, random: nextNonce)
        if !actions.isEmpty {
            nextNonce = .random(in: .min ... .max)
            perform(actions)
        }
        if command.machine.isReady {
            restoreSlice()
            if now >= nextHeartbeat {
                nextHeartbeat = now + Milliseconds(1000)
                beat()
                appendWaiting()
                tendFailingSessions()
            }
            readFailingSessions()
        }
        if now >= nextStatus {
            nextStatus = now + Milliseconds(20)
            updateStatus()
        }
        sayGoodbye()
    }

    private func updateStatus() {
        let lease = loop.lease.lease
        let (staleness, isFrozen) = (lease.vouchedAt.map { now.since($0) }, !lease.holds(at: now))
        let (isReady, probe, unknown) = (loop.canVouch && !isFrozen && !loop.isDraining, lastProbe, unknownEvents)
        let connections = shared.connections.load(ordering: .relaxed)
        let unreadable = shared.unreadableForwards.load(ordering: .relaxed)
        let hits = shared.verifiedTokens.hits.load(ordering: .relaxed)
        let misses = shared.verifiedTokens.misses.load(ordering: .relaxed)
        let sessions = knownSessions.hits
        shared.status.withLock { status in
            status.isReady = isReady
            status.staleness = staleness
            status.isFrozen = isFrozen
            status.probe = probe
            status.unknownEvents = unknown
            status.connections = connections
            status.unreadableForwards = unreadable
            status.rememberedTokens = hits
            status.unknownTokens = misses
            status.knownSessions = sessions
        }
    }

    // MARK: - Heartbeat and probe

    private func beat() {
        guard goodbye == nil else { return }
        let fields = [
            ("address", configuration.listen.description),
            ("version", configuration.version),
            ("instance", String(shared.instance, radix: 16)),
            ("connections", String(shared.connections.load(ordering: .relaxed))),
            ("position", machine.position?.description ?? ""),
            ("staleness_ms", String(loop.lease.lease.vouchedAt.map { now.since($0).count } ?? -1)),
        ]
        let command = Scripts.heartbeat(
            nodes: keys.nodes,
            node: keys.node(configuration.node),
            name: configuration.node,
            fields: fields
        )
        pending.append(command, .heartbeat(sentAt: BootTime(nanoseconds: Clock.boot())))
        renewPlaces()
        prunePresence()
    }

    func heartbeatAnswered(_ value: RESPValue, sentAt: BootTime) {
        guard let text = value.text, let time = Int64(text) else { return }
        let (received, sent) = (Clock.boot() / 1_000_000, sentAt.nanoseconds / 1_000_000)
        // Half-way between question and answer, where the two are close enough to tell.
        guard received >= sent, received - sent < 1000 else { return }
        shared.redisClock.store(time.subtractingClamped(sent + (received - sent) / 2), ordering: .relaxed)
        shared.knowsRedisTime.store(true, ordering: .relaxed)
    }

    /// Read under tracking, then set: Redis must tell the subscriber of the change, and bring it the nonce behind that.
    func sendProbe(_ nonce: UInt64) {
        let (key, name) = (keys.probe(configuration.node), Identifier(String(nonce, radix: 16)))
        pending.append(Command("CLIENT", "CACHING", "YES"), .tracking)
        pending.append(Command("GET", key), .probe)
        pending.append(Command("SET", key, name.description, "PX", "60000"), .probe)
        let message = ControlMessage.probe(nonce: name).encode()
        let channel = Array(keys.control(configuration.node).utf8)
        pending.append(Command([Array("PUBLISH".utf8), channel, message]), .probe)
    }

    func controlReceived(_ payload: [UInt8]) {
        do throws(EventRejection) {
            switch try ControlMessage.decode(payload) {
            case .probe(let nonce):
                guard let nonce = UInt64(nonce.description, radix: 16) else { return }
                perform(machine.probeReturned(nonce, now: now))
            case .replaced(let connection): shared.tellAll(.replaced(connection))
            case .connections(let id, let select, let except, let limit): query(id, select, except, limit)
            }
        } catch {
            shared.report(.eventRejected(error))
        }
    }

    // MARK: - Receipts

    /// A loop has enforced a decision; when all have, the receipt is written.
    func enforced(_ part: Enforced) {
        var (count, sum) = receipts[part.serial] ?? (0, part)
        if count > 0 {
            sum.matched += part.matched
            sum.closed += part.closed
            sum.narrowed += part.narrowed
            sum.spared += part.spared
            sum.microseconds = max(sum.microseconds, part.microseconds)
        }
        count += 1
        guard count == shared.mailboxes.count else {
            receipts[part.serial] = (count, sum)
            return
        }
        receipts[part.serial] = nil
        shared.report(
            .decided(
                type: sum.type,
                event: sum.event,
                matched: sum.matched,
                closed: sum.closed,
                microseconds: sum.microseconds
            )
        )
        if sum.wantsReceipt { writeReceipt(sum) }
    }

    private func writeReceipt(_ sum: Enforced) {
        let receipt = JSONBuilder.object { json in
            json.member("node", configuration.node)
            json.member("matched", Int64(sum.matched))
            json.member("closed", Int64(sum.closed))
            json.member("narrowed", Int64(sum.narrowed))
            json.member("spared", Int64(sum.spared))
            json.member("us", sum.microseconds)
        }
        push(receipt, to: keys.acknowledgements(sum.event))
    }

    /// Appends to a list that somebody waits for, and that ends by itself.
    private func push(_ value: [UInt8], to key: [UInt8]) {
        guard command.machine.isReady else { return }
        pending.append(Command([Array("RPUSH".utf8), key, value]), .nothing)
        pending.append(Command([Array("PEXPIRE".utf8), key, Array("60000".utf8)]), .nothing)
    }

    // MARK: - Queries

    private func query(_ id: Identifier, _ select: Selector, _ except: Selector?, _ limit: Int) {
        queries = queries.filter { now.since($0.value.asked) < .seconds(10) }
        guard queries.count < Self.queriesAtOnce, queries[id.description] == nil else { return }
        queries[id.description] = ([], now)
        shared.tellAll(.query(ConnectionQuery(id: id.description, select: select, except: except, limit: limit)))
    }

    func queried(_ id: String, _ part: QueryPart) {
        guard var known = queries[id] else { return }
        known.parts.append(part)
        queries[id] = known
        guard known.parts.count == shared.mailboxes.count else { return }
        queries[id] = nil
        let answer = JSONBuilder.object { json in
            json.member("node", configuration.node)
            json.name("connections")
            json.array { json in
                for part in known.parts where part.count > 0 { json.raw(part.rows) }
            }
            json.member("spared", Int64(known.parts.reduce(0) { $0 + $1.spared }))
            json.member("more", known.parts.contains { $0.more })
        }
        push(answer, to: keys.reply(Identifier(id)))
    }

    // MARK: - The end

    func loopDrained(_ loop: Int) {
        drainedLoops += 1
    }

    /// A gate that stops in order takes itself off the list.
    private func sayGoodbye() {
        guard drainedLoops >= shared.mailboxes.count, goodbye == nil else { return }
        goodbye = now
        guard command.machine.isReady else {
            hasSaidGoodbye = true
            return
        }
        writePresence(all: true)
        giveAllPlacesBack()
        pending.append(Command("ZREM", keys.nodes, configuration.node), .nothing)
        pending.append(Command("DEL", keys.node(configuration.node), keys.probe(configuration.node)), .goodbye)
    }

    var mayEnd: Bool {
        guard let goodbye else { return false }
        return hasSaidGoodbye || now.since(goodbye) > Milliseconds(500)
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Decisions against live connections: exactly the matching ones, at once.
extension GateLoop {
    func enforce(_ decided: Decided) {
        var enforced = Enforced(
            serial: decided.serial,
            event: decided.event,
            type: decided.decision.type,
            wantsReceipt: decided.wantsReceipt
        )
        switch decided.decision {
        case .revoke(let revocation): return close(revocation.select, revocation.except, .revoked, decided, enforced)
        case .block(let select, let except, _): return close(select, except, .blocked, decided, enforced)
        case .disconnect(let select, let except, let code, let reason):
            let closing = Closing(code: code, reason: reason)
            return close(select, except, .storeUnavailable, decided, enforced, closing)
        case .notify(let select, let except, let data): return notify(select, except, data, decided, enforced)
        case .permit(let permit):
            change(permit, decided, &enforced)
        case .reauthenticate(let select, let except, let within):
            return reauthenticate(select, except, within, decided, enforced)
        case .unblock, .lift:
            break
        }
        done(enforced, decided)
    }

    /// The last frame of a decision is written: its receipt can be made.
    func done(_ part: Enforced, _ decided: Decided) {
        var enforced = part
        enforced.microseconds = (Clock.boot() - decided.readAt.nanoseconds) / 1000
        if let uplink {
            uplink.enforced(enforced)
        } else {
            shared.mailboxes[0].post(.enforced(enforced))
        }
    }

    /// Whether a decision that closes concerns a connection that its selector matches.
    func covers(_ slot: UInt32, _ decided: Decided) -> Bool {
        switch decided.decision {
        case .revoke(let revocation): isCovered(slot, by: revocation, decided)
        case .reauthenticate: mustReauthenticate(slot)
        default: true
        }
    }

    private func isCovered(_ slot: UInt32, by revocation: Decision.Revocation, _ decided: Decided) -> Bool {
        guard let identity = registry.identity(slot), let presented = registry.presented(slot) else { return false }
        switch revocation.issuedBefore {
        case .never: return true
        case .time(let time): return identity.wasIssued(upTo: time, presented: presented)
        case .append: return identity.wasIssued(upTo: decided.appended, presented: presented)
        }
    }

    func mustReauthenticate(_ slot: UInt32) -> Bool {
        guard let identity = registry.identity(slot), let presented = registry.presented(slot) else { return false }
        return verdict(slot, on: identity, presented: presented) == .reauthenticationRequired
    }

    // MARK: - Matching

    func traits(_ slot: UInt32) -> ConnectionTraits {
        ConnectionTraits(
            id: connectionID(slot),
            address: lives[Int(slot)].address,
            resource: lives[Int(slot)].resource,
            role: { resource in
                self.rooms.membership(slot, resource).map { self.configuration.roles.name(of: $0.role) }
            }
        )
    }

    /// The connections that match, but for those that are spared; pending ones too.
    func matching(_ select: Selector, _ except: Selector?, spared: inout Int) -> [UInt32] {
        var slots: [UInt32] = []
        registry.forEachCandidate(select) { slot, identity in
            guard registry.state(slot) != .condemned, select.couldMatch(identity, from: lives[Int(slot)].address)
            else { return }
            let traits = traits(slot)
            guard select.matches(identity, traits) else { return }
            if let except, except.matches(identity, traits) {
                spared += 1
            } else {
                slots.append(slot)
            }
        }
        return slots
    }

    // MARK: - Effects

    func close(
        _ select: Selector,
        _ except: Selector?,
        _ outcome: Outcome,
        _ decided: Decided,
        _ enforced: Enforced,
        _ known: Closing? = nil
    ) {
        let closing = known ?? Closing(outcome, detail: decided.message)
        // Encoded once for all.
        var frames: [2 of [UInt8]] = [[], []]
        closing.append(isVersion1: false, to: &frames[0])
        closing.append(isVersion1: true, to: &frames[1])
        begin(Walk(.close(decided, outcome, closing, frames: frames), select, except, enforced))
    }

    func begin(_ mass: MassClose) {
        massCloses.append(mass)
        // One that matches few is done at once, also behind a mass close.
        if mass.streams.count <= Self.closesPerTurn { closeSlice(at: massCloses.count - 1) }
    }

    /// Closes these live connections, as a decision that matches them would.
    func closeAll(_ slots: [UInt32], _ closing: Closing) {
        var frames: [2 of [UInt8]] = [[], []]
        closing.append(isVersion1: false, to: &frames[0])
        closing.append(isVersion1: true, to: &frames[1])
        let stopped = slots.filter { stop($0, code: closing.code, reason: closing.reason) }
        begin(MassClose(streams: stopped.map(stream), frames: frames, decision: nil))
    }

    /// Writes the next slice of the oldest mass close that has something to write.
    func closeSlice() {
        if let index = massCloses.firstIndex(where: { $0.walk == nil || !$0.streams.isEmpty }) { closeSlice(at: index) }
    }

    private func closeSlice(at index: Int) {
        let slice = massCloses[index].streams.suffix(Self.closesPerTurn)
        for stream in slice where isCurrent(stream) {
            engine.send(stream, massCloses[index].frames[lives[Int(stream.slot)].isVersion1 ? 1 : 0])
            engine.finish(stream)
        }
        massCloses[index].streams.removeLast(slice.count)
        guard massCloses[index].streams.isEmpty, massCloses[index].walk == nil else { return }
        if let (decided, enforced) = massCloses.remove(at: index).decision { done(enforced, decided) }
    }

    /// About 1 ms of writing.
    private static let closesPerTurn = 48

    /// Closes one connection.
    func condemn(_ slot: UInt32, _ closing: Closing) {
        output.removeAll(keepingCapacity: true)
        closing.append(isVersion1: lives[Int(slot)].isVersion1, to: &output)
        end(slot, output, code: closing.code, reason: closing.reason)
    }

    /// Closing means stopping: the queue is dropped, the last bytes are written, and nothing that the client sends is acted on any more.
    func end(_ slot: UInt32, _ last: [UInt8], code: UInt16, reason: String) {
        guard stop(slot, code: code, reason: reason) else { return }
        engine.send(stream(slot), last)
        engine.finish(stream(slot))
    }

    /// From here on nothing that the client sends is acted on, and nothing but the last bytes is written; false where that is so already.
    func stop(_ slot: UInt32, code: UInt16, reason: String) -> Bool {
        guard lives[Int(slot)].phase == .live, registry.condemn(slot) else { return false }
        lives[Int(slot)].phase = .closing
        lives[Int(slot)].frames = FrameState()
        rooms.leaveAll(slot)
        held[slot] = nil
        forgetJoins(slot)
        forgetRefresh(slot)
        forgetUnread(stream(slot))
        // Half a frame is ended so that the close frame can be read; but no application byte is written behind the lease: such a stream stays
        // under it, and one that is behind it is closed. The clock is read anew, for the turn may have been long.
        if engine.dropQueue(stream(slot)) {
            let isServed = !lives[Int(slot)].isHeld && lease.mayServe(at: BootTime(nanoseconds: Clock.boot()))
            if !isServed { engine.close(stream(slot)) }
        } else {
            engine.release(stream(slot))
        }
        wheel.set(slot, at: now + configuration.closeDeadline)
        if configuration.reportsAdmissions, let identity = registry.identity(slot) {
            shared.report(.closed(connection: connectionID(slot), user: identity.user, code: code, reason: reason))
        }
        return true
    }

    private func notify(
        _ select: Selector,
        _ except: Selector?,
        _ data: [UInt8],
        _ decided: Decided,
        _ enforced: Enforced
    ) {
        var frames: [2 of [UInt8]] = [[], []]
        FrameWriter.append(.text, data.span, to: &frames[0])
        FrameWriter.append(.text, ServerMessage.notice(data: data).span, to: &frames[1])
        begin(Walk(.notify(decided, frames: frames), select, except, enforced))
    }

    // MARK: - Permissions

    private func change(_ permit: Decision.Permit, _ decided: Decided, _ enforced: inout Enforced) {
        guard let version = decided.version ?? permit.version, registry.hasConnections(of: permit.user) else { return }
        let before = book.grant(permit.user, permit.resource)
        guard book.apply(permit.user, permit.resource, Grant(version: version, role: permit.role)) else { return }
        var slots: [UInt32] = []
        registry.forEach(.user, permit.user) { slot, _ in slots.append(slot) }
        for slot in slots where lives[Int(slot)].phase == .live {
            guard let identity = registry.identity(slot) else { continue }
            let membership = rooms.membership(slot, permit.resource)
            if let membership, membership.version >= version { continue }
            enforced.matched += 1
            let from = membership?.role ?? role(identity, on: permit.resource, before)
            if lives[Int(slot)].isVersion1, from != permit.role {
                sayPermission(slot, permit.resource, from, permit.role, version, decided.reason)
            }
            if let to = permit.role, to >= configuration.roles.viewer {
                if membership != nil { rooms.join(slot, permit.resource, role: to, version: version) }
                if let from, to < from { enforced.narrowed += 1 }
            } else {
                lose(slot, permit.resource, decided, &enforced)
            }
        }
    }

    func sayPermission(
        _ slot: UInt32,
        _ resource: Identifier,
        _ from: Role?,
        _ to: Role?,
        _ version: Int64,
        _ reason: String?
    ) {
        guard mayServe(slot) else {
            held[slot, default: HeldMessages()]
                .change(resource, from: from, to: to, version: version, reason: reason)
            return
        }
        say(
            slot,
            ServerMessage.permission(
                resource: resource,
                from: from,
                to: to,
                version: version,
                reason: reason,
                roles: configuration.roles
            )
        )
    }

    /// A connection may not view the resource any more.
    private func lose(_ slot: UInt32, _ resource: Identifier, _ decided: Decided, _ enforced: inout Enforced) {
        if lives[Int(slot)].resource == resource {
            condemn(slot, Closing(.permissionRevoked, detail: decided.message))
            enforced.closed += 1
        } else {
            enforced.narrowed += 1
            if rooms.leave(slot, resource), lives[Int(slot)].isVersion1 {
                say(slot, ServerMessage.left(resource: resource, ref: nil))
            }
        }
    }
}

/// Connections that are stopped and whose last bytes are still to be written.
struct MassClose {
    var streams: [StreamID]
    /// For raw connections, and for those that speak `portcullis.v1`.
    let frames: [2 of [UInt8]]
    /// What stopped them and what becomes its receipt; nil where no decision did.
    var decision: (Decided, Enforced)?
    /// The walk that finds more of them; nil where all are found.
    var walk: UInt64?
}

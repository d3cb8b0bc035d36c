import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// A frozen loop admits nobody, reads from no client and writes no application byte to any, but keeps the sockets. The engine compares
/// the clock before each read and write; what is here is all else that follows.
extension GateLoop {
    private static let expelledPerTurn = 48

    /// Whether bytes of clients pass, by the time of the turn.
    var mayServe: Bool {
        lease.mayServe(at: now)
    }

    /// Whether bytes of this client pass: one may be held back while the others are served.
    func mayServe(_ slot: UInt32) -> Bool {
        !lives[Int(slot)].isHeld && mayServe
    }

    /// Nothing of a live connection passes from here on; its closing is never held back.
    func holdBack(_ slot: UInt32) {
        guard !lives[Int(slot)].isHeld else { return }
        lives[Int(slot)].heldSince = ticks(now)
        holdsAny = true
        engine.hold(stream(slot))
    }

    /// Ends that: what happened meanwhile is told first, and the time does not count as silence of the client.
    func letGo(_ slot: UInt32) {
        guard lives[Int(slot)].isHeld else { return }
        let span = ticks(now).subtractingClamped(lives[Int(slot)].heldSince)
        lives[Int(slot)].heldSince = Live.notHeld
        lives[Int(slot)].heard = lives[Int(slot)].heard.addingClamped(span)
        engine.resume(stream(slot))
        putInLine(stream(slot))
        sayHeld(slot, held.removeValue(forKey: slot))
        if lives[Int(slot)].phase == .live { setLifeDeadline(slot) }
    }

    /// The view was whole when a question was sent at that time.
    func renewLease(_ sentAt: BootTime) {
        guard lease.renew(sentAt: sentAt, now: BootTime(nanoseconds: Clock.boot())) else { return }
        engine.serve(until: lease.servesUntil.nanoseconds)
    }

    /// Behind the mail of the turn: does the lease hold?
    func lookAtLease() {
        switch lease.timePassed(now: now) {
        case .nothing: break
        case .froze:
            if index == 0 { shared.report(.froze(serves: lease.mode == .bestEffort)) }
            freeze()
        case .expire:
            if index == 0 { shared.report(.freezeLimitReached) }
            for slot in lives.indices where [.live, .authenticating, .asking].contains(lives[slot].phase) {
                expelled.append(stream(UInt32(slot)))
            }
        case .thawed(let span): thaw(span)
        }
    }

    /// Each connection is held back by itself, so that the thaw can let them go one after the other.
    private func freeze() {
        // Whom a thaw has not reached yet is held back still, and what was kept for it is kept.
        thawing = nil
        guard lease.mode == .strict else { return }
        for slot in lives.indices where lives[slot].phase == .live { holdBack(UInt32(slot)) }
    }

    private func thaw(_ span: Milliseconds) {
        if index == 0 { shared.report(.thawed(after: span)) }
        expelled = []
        // The lease of the places may have ended, and they with it.
        takePlacesAgain()
        enterAgain(quietly: false)
        if lease.mode == .strict { thawing = 0 }
    }

    /// Lets go a slice of those who are held back; those whose sessions have not been read since wait for that.
    func thawSlice() {
        guard let from = thawing else { return }
        let end = Clock.boot() + Self.share
        var slot = from
        while slot < lives.count {
            defer { slot += 1 }
            guard lives[slot].isHeld, lives[slot].phase == .live, isSessionProved(UInt32(slot)) else { continue }
            letGo(UInt32(slot))
            guard Clock.boot() < end else {
                thawing = slot + 1
                return
            }
        }
        thawing = nil
        holdsAny = lives.contains { $0.isHeld && $0.phase == .live }
    }

    /// What happened to a connection during the freeze, and that messages on its resources may have been lost.
    private func sayHeld(_ slot: UInt32, _ messages: HeldMessages?) {
        guard lives[Int(slot)].isVersion1 else { return }
        // It can't be told where it stands: it comes back and reads that.
        if messages?.isOverfull == true {
            return condemn(slot, Closing(.cannotVouch, retryAfter: jitteredRetry()))
        }
        output.removeAll(keepingCapacity: true)
        for (resource, change) in messages?.permissions ?? [:] where change.from != change.to {
            let message = ServerMessage.permission(
                resource: resource,
                from: change.from,
                to: change.to,
                version: change.version,
                reason: change.reason,
                roles: configuration.roles
            )
            FrameWriter.append(.text, message.span, to: &output)
        }
        if let demand = takeDemand(slot) { FrameWriter.append(.text, demand.span, to: &output) }
        for message in messages?.others ?? [] { FrameWriter.append(.text, message.span, to: &output) }
        rooms.forEachMembership(of: slot) { resource, _ in
            FrameWriter.append(.text, ServerMessage.missed(resource: resource).span, to: &output)
        }
        if !output.isEmpty { push(slot, output) }
    }

    /// A frozen connection's next deadline: the end of its credential, or of the time to sign in anew.
    func setFrozenDeadline(_ slot: UInt32) {
        let later = now + Milliseconds(1000)
        wheel.set(slot, at: min(later, endOfService(slot) ?? later))
    }

    /// Closes a slice of those whom the freeze has lasted too long for, each with another time to return.
    func expelSlice() {
        for _ in 0..<min(Self.expelledPerTurn, expelled.count) {
            guard let stream = expelled.popLast(), isCurrent(stream) else { continue }
            switch lives[Int(stream.slot)].phase {
            case .live: condemn(stream.slot, Closing(.cannotVouch, retryAfter: jitteredRetry()))
            case .asking: refuse(stream, Refusal(.cannotVouch, "the view of revocations is not confirmed"))
            case .authenticating: refuse(stream, Refusal(.cannotVouch, "the view of revocations is not confirmed"))
            case .head, .verifying, .vacant, .closing: break
            }
        }
    }
}

/// What a connection is told at the thaw. The latest of each kind: it is told where it stands, not how it came there.
struct HeldMessages {
    struct Change {
        let from: Role?
        var to: Role?
        var version: Int64
        var reason: String?
    }

    /// By resource: only where it stands counts.
    private(set) var permissions: [Identifier: Change] = [:]
    /// Whether permissions on more resources have changed than are kept.
    private(set) var isOverfull = false
    private(set) var others: [[UInt8]] = []

    /// More are not kept; the oldest go first.
    private static let most = 64
    private static let mostResources = 256

    mutating func append(_ message: [UInt8]) {
        if others.count >= Self.most { others.removeFirst() }
        others.append(message)
    }

    mutating func change(_ resource: Identifier, from: Role?, to: Role?, version: Int64, reason: String?) {
        guard !isOverfull else { return }
        guard permissions[resource] != nil || permissions.count < Self.mostResources else {
            isOverfull = true
            permissions = [:]
            return
        }
        let first = permissions[resource].map(\.from) ?? from
        permissions[resource] = Change(from: first, to: to, version: version, reason: reason)
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// That the user of a connection must sign in anew by a deadline, or it is closed.
struct Demand {
    var deadline: BootTime
    /// A word for the client.
    let reason: String
    /// A sentence for the person.
    let detail: String?
    /// Whether the client has been told.
    var isSaid = false
}

/// `reauthenticate` against live connections: they go on until the deadline, which a `refresh` with a later sign-in takes away.
extension GateLoop {
    func reauthenticate(
        _ select: Selector,
        _ except: Selector?,
        _ within: Milliseconds,
        _ decided: Decided,
        _ enforced: Enforced
    ) {
        // Counted from the append: a gate that learns of it late gives no longer.
        let passed = max(0, shared.redisTime().since(decided.appended).count)
        let left = Milliseconds(within.count.subtractingClamped(passed))
        guard left.count > 0 else {
            let closing = Closing(.expired, detail: decided.message)
            return close(select, except, .reauthenticationRequired, decided, enforced, closing)
        }
        let demand = Demand(
            deadline: now + left,
            reason: decided.reason ?? Outcome.reauthenticationRequired.rawValue,
            detail: decided.message
        )
        begin(Walk(.demand(decided, demand), select, except, enforced))
    }

    /// A decision asks for a new sign-in on this connection.
    func demandSignIn(_ slot: UInt32, _ decided: Decided, _ demand: Demand, _ walk: inout Walk) {
        guard covers(slot, decided) else {
            walk.enforced.spared += 1
            return
        }
        walk.enforced.matched += 1
        switch lives[Int(slot)].phase {
        case .asking:
            walk.enforced.closed += 1
            let refusal = Refusal(.reauthenticationRequired, "a decision came during the handshake")
            refuse(stream(slot), refusal)
        case .live: place(demand, on: slot)
        case .vacant, .head, .authenticating, .verifying, .closing: break
        }
    }

    private func place(_ demand: Demand, on slot: UInt32) {
        var demand = demand
        // Two that must be met: by the deadline of the first, with a sign-in that is later than both.
        if let known = demands[slot] { demand.deadline = min(demand.deadline, known.deadline) }
        demands[slot] = demand
        lives[Int(slot)].hasDemand = true
        setLifeDeadline(slot)
        // During a freeze the deadline runs on; the message is for the thaw.
        guard mayServe(slot), let message = takeDemand(slot) else { return }
        say(slot, message)
    }

    /// The message that the client has not been sent yet, as of now; it counts as sent.
    func takeDemand(_ slot: UInt32) -> [UInt8]? {
        guard lives[Int(slot)].hasDemand, lives[Int(slot)].isVersion1, let demand = demands[slot], !demand.isSaid
        else { return nil }
        demands[slot]?.isSaid = true
        let left = max(Milliseconds(0), demand.deadline.since(now))
        return ServerMessage.reauthenticate(left: left, reason: demand.reason)
    }

    /// Closes a connection whose time to sign in anew is over; false where it was.
    func meetsDemand(_ slot: UInt32) -> Bool {
        guard lives[Int(slot)].hasDemand, let demand = demands[slot], demand.deadline <= now else { return true }
        // The decision may have been lifted since.
        guard mustReauthenticate(slot) else {
            dropDemand(slot)
            return true
        }
        condemn(slot, Closing(.expired, detail: demand.detail))
        return false
    }

    func dropDemand(_ slot: UInt32) {
        guard lives[Int(slot)].hasDemand else { return }
        lives[Int(slot)].hasDemand = false
        demands[slot] = nil
    }
}

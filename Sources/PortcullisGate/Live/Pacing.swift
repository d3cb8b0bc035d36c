import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Who sends faster than its rates allow is read no further until it has tokens again; TCP then slows it down. Only who has been held back
/// for long without a break is closed.
struct Pacing {
    struct Entry {
        let stream: StreamID
        var holding: HoldingBack
    }

    /// Those who have been held back of late, by slot.
    var entries: [UInt32: Entry] = [:]
    var next = BootTime(nanoseconds: 0)
    /// What those have used of their rates who sent something of late: most connections only listen.
    private var used = Slab<RateState>()

    /// In the place of a number: the whole of the rates is there.
    static let unused = UInt32.max

    /// How many have used something of their rates.
    var usedCount: Int {
        used.count
    }

    func state(_ number: UInt32) -> RateState {
        used[Int(number)] ?? RateState()
    }

    /// Changes what a number stands for, or makes one.
    /// - Returns: the number.
    mutating func change(_ number: UInt32, _ change: (inout RateState) -> Void) -> UInt32 {
        guard number == Self.unused else {
            used.update(Int(number), change)
            return number
        }
        var state = RateState()
        change(&state)
        return UInt32(clamping: used.insert(state))
    }

    /// Gives up the room of a crowd that has gone.
    mutating func shrink() {
        used.shrink()
        entries.shrink()
    }

    mutating func forget(_ number: UInt32) {
        if number != Self.unused { used.remove(Int(number)) }
    }
}

extension GateLoop {
    /// Whether the connection may send more now. Where it may not, it is held back.
    func mayRead(_ stream: StreamID) -> Bool {
        if hasTokens(stream.slot) { return true }
        if var entry = pacing.entries[stream.slot], entry.stream == stream {
            entry.holding.hold(at: now)
            pacing.entries[stream.slot] = entry
        } else {
            pacing.entries[stream.slot] = Pacing.Entry(stream: stream, holding: HoldingBack(at: now))
        }
        return false
    }

    /// Counts what a step of reading has taken.
    /// - Returns: whether it may be acted on.
    func charge(_ slot: UInt32, _ step: FrameStep, _ bytes: Int) -> Bool {
        let (rates, now) = (configuration.rates, now)
        var isWithin = true
        lives[Int(slot)].rate = pacing.change(lives[Int(slot)].rate) { state in
            state.tookBytes(bytes, rates, at: now)
            switch step {
            case .message: state.tookMessage(rates, at: now)
            case .ping, .pong: isWithin = state.tookControl(rates, at: now)
            case .needMore, .close, .failed: break
            }
        }
        return isWithin
    }

    private func hasTokens(_ slot: UInt32) -> Bool {
        let rate = lives[Int(slot)].rate
        return rate == Pacing.unused || pacing.state(rate).mayRead(configuration.rates, at: now)
    }

    /// Nothing is kept of a connection whose rates are whole again; with its end, nothing at all.
    func forgetRate(_ slot: UInt32, onlyWhole: Bool) {
        let rate = lives[Int(slot)].rate
        guard rate != Pacing.unused, !onlyWhole || pacing.state(rate).isWhole(at: now) else { return }
        pacing.forget(rate)
        lives[Int(slot)].rate = Pacing.unused
    }

    func isHeldBack(_ stream: StreamID) -> Bool {
        guard !pacing.entries.isEmpty, let entry = pacing.entries[stream.slot] else { return false }
        return entry.stream == stream && entry.holding.isHeld
    }

    /// All that it had sent is worked off.
    func caughtUp(_ stream: StreamID) {
        guard !pacing.entries.isEmpty, pacing.entries[stream.slot]?.stream == stream else { return }
        pacing.entries[stream.slot]?.holding.letGo(at: now)
    }

    /// Lets those go on who have tokens again, and closes those who had to be held back for too long.
    func pace() {
        guard !pacing.entries.isEmpty, now >= pacing.next else { return }
        pacing.next = now + SweepWheel.tick
        for (slot, entry) in pacing.entries {
            let stream = entry.stream
            guard isCurrent(stream), lives[Int(slot)].phase == .live else {
                pacing.entries[slot] = nil
                continue
            }
            guard entry.holding.isHeld else {
                if unread[slot] == nil, entry.holding.isOver(at: now) { pacing.entries[slot] = nil }
                continue
            }
            // Its silence is the gate's doing, and what a freeze holds up is nobody's haste.
            heard(slot)
            guard mayServe(slot) else {
                pacing.entries[slot]?.holding.restart(at: now)
                continue
            }
            if now.since(entry.holding.since) >= configuration.longestHolding {
                pacing.entries[slot] = nil
                condemn(slot, Closing(.rateLimited, retryAfter: jitteredRetry()))
            } else if hasTokens(slot) {
                pacing.entries[slot]?.holding.letGo(at: now)
                putInLine(stream)
            }
        }
    }
}

import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// The end of a credential, and that its client is told of it ahead (`expiring`): once for each credential.
extension GateLoop {
    /// When the connection ends as things stand: with its credential, or with the time to sign in anew.
    func endOfService(_ slot: UInt32) -> BootTime? {
        let ends = lives[Int(slot)].ends
        guard lives[Int(slot)].hasDemand, let deadline = demands[slot]?.deadline else { return ends }
        return ends.map { min($0, deadline) } ?? deadline
    }

    /// The connection has a credential whose end it has not been told of.
    func armNotice(_ slot: UInt32) {
        guard lives[Int(slot)].isVersion1 else { return }
        lives[Int(slot)].notice = UInt16(clamping: configuration.expiryNotice.count / 1000)
    }

    /// Of a short life no more than half has passed when its end is told, rounded up to seconds.
    func shortenNotice(_ slot: UInt32, toHalfOf life: Milliseconds) {
        let half = (max(0, life.count) / 2 + 999) / 1000
        lives[Int(slot)].notice = min(lives[Int(slot)].notice, max(1, UInt16(clamping: half)))
    }

    /// When the client is to be told; nil: never, or it has been.
    func noticeOfExpiry(_ slot: UInt32) -> BootTime? {
        guard lives[Int(slot)].notice > 0, let ends = lives[Int(slot)].ends else { return nil }
        return ends + Milliseconds(-1000 * Int64(lives[Int(slot)].notice))
    }

    /// Tells the client, where it is time.
    func sayExpiring(_ slot: UInt32) {
        guard let notice = noticeOfExpiry(slot), notice <= now, mayServe(slot), let ends = lives[Int(slot)].ends,
            let expires = registry.identity(slot)?.expires
        else { return }
        lives[Int(slot)].notice = 0
        say(slot, ServerMessage.expiring(expires, left: max(Milliseconds(0), ends.since(now))))
        if lives[Int(slot)].phase == .live { setLifeDeadline(slot) }
    }
}

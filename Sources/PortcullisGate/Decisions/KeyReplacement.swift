import PortcullisCore
import PortcullisReactor
import PortcullisTokens

/// Keys that come and go while the gate runs.
extension GateLoop {
    /// Judges a token, and tells where it names a key that may still come: the handshake itself is refused, and its client comes again.
    func verify(_ token: Span<UInt8>) throws(Refusal) -> VerifiedToken {
        let start = Clock.boot()
        defer { verifications.spend(Clock.boot() - start) }
        do throws(Refusal) {
            return try verifier.verify(token, now: wall)
        } catch {
            if error.outcome == .unknownKey, let unknown = verifier.unknownKey { shared.report(.unknownKey(unknown)) }
            throw error
        }
    }

    /// Holds a connection to the key of the token that it presents: at its handshake, and again where it refreshes.
    func hold(_ slot: UInt32, to token: VerifiedToken) {
        lives[Int(slot)].key = keysInForce.serial(of: token)
    }

    /// Other keys count from here on. Handshakes that wait and whose key is gone are refused; live connections of such a key are
    /// closed where `keys.close_on_removal` says so.
    func replaceKeys(_ keys: KeysInForce) {
        keysInForce = keys
        verifier = keys.verifier
        var refused = 0
        var closed: [UInt32] = []
        for slot in lives.indices where !keys.covers(lives[slot].key) {
            switch lives[slot].phase {
            case .asking:
                refuse(stream(UInt32(slot)), Refusal(.unknownKey, "the key was withdrawn during the handshake"))
                refused += 1
            case .live where configuration.closesOnKeyRemoval: closed.append(UInt32(slot))
            case .live, .head, .authenticating, .verifying, .closing, .vacant: break
            }
        }
        guard refused > 0 || !closed.isEmpty else { return }
        closeAll(closed, Closing(.expired, detail: "The key that signed the token was withdrawn."))
        shared.report(.keysWithdrawn(closed: closed.count, refused: refused))
    }
}

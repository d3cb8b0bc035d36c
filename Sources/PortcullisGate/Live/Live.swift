import PortcullisCore
import PortcullisWire

/// What a loop holds of one connection beside its entry in the registry. Small: there is one for every slot.
struct Live {
    enum Phase: UInt8 {
        /// No connection in this slot.
        case vacant
        /// The request head is awaited. Exits: authenticating, verifying, asking, live, closing.
        case head
        /// The opening is answered, and the credential is awaited as the first message. Exits: verifying, asking, live, closing.
        case authenticating
        /// The token waits to be verified (Verifying.swift). Exits: asking, live, closing.
        case verifying
        /// Redis is asked about the credential or the permission. Exits: live, closing.
        case asking
        /// Exits: closing.
        case live
        /// Its last bytes are written; what it sends is thrown away.
        case closing
    }

    // In an order that leaves no room between them: 88 bytes.
    /// When its credential ends, by the clock that no step of the wall clock moves; ``noEnd``: it is not known, or never.
    private var end = noEnd
    /// What is kept of a handshake that is not through.
    var pending: PendingHandshake?
    /// The resource it is bound to.
    var resource: Identifier?
    private var addressHigh: UInt64 = 0
    private var addressLow: UInt64 = 0
    var frames = FrameState()
    var phase = Phase.vacant
    /// Whether `portcullis.v1` is spoken.
    var isVersion1 = false
    /// Whether a ping has been sent since the connection was last heard.
    var wasPinged = false
    /// Whether a message came since its session was renewed last (`sessions.touch`).
    var wasUsed = false
    /// Whether a server session admitted it, and no token has taken its place.
    var isOfSession = false
    /// Whether its user must sign in anew (``Demand``).
    var hasDemand = false
    private var ofAddress = AddressFlags()
    /// Whether it holds one of its user's places (UserCap.swift).
    var holdsPlace = false
    /// How many seconds before the end of its credential it is told so; 0: it has been, or nothing is to be told.
    var notice: UInt16 = 0
    var generation: UInt32 = 0
    /// Since when nothing of it passes, in wheel ticks since the loop began; ``notHeld``: it is not held back.
    var heldSince = notHeld
    /// As of when its session is known, in wheel ticks since the loop began.
    var sessionRead: UInt32 = 0
    /// When its handshake was, in wheel ticks since the loop began, where its credential was shown later than that; else 0.
    var connected: UInt32 = 0
    /// When it was last heard, in wheel ticks since the loop began.
    var heard: UInt32 = 0
    /// The number of the key that admitted it (``KeyRegister``).
    var key = KeysInForce.none
    /// Where it stands what it has used of its rates (``Pacing``).
    var rate = Pacing.unused

    private static let noEnd = BootTime(nanoseconds: .max)
    static let notHeld = UInt32.max

    var isHeld: Bool {
        heldSince != Self.notHeld
    }

    var ends: BootTime? {
        get { end == Self.noEnd ? nil : end }
        set { end = newValue ?? Self.noEnd }
    }

    /// What is so of it and its address.
    private struct AddressFlags: OptionSet {
        let rawValue: UInt8

        static let isKnown = AddressFlags(rawValue: 1)
        static let isEntered = AddressFlags(rawValue: 2)
        static let isCounted = AddressFlags(rawValue: 4)
    }

    private mutating func set(_ flag: AddressFlags, _ isSo: Bool) {
        if isSo { ofAddress.insert(flag) } else { ofAddress.remove(flag) }
    }

    /// Whether its handshake is counted under its address.
    var isEntered: Bool {
        get { ofAddress.contains(.isEntered) }
        set { set(.isEntered, newValue) }
    }

    /// Whether it counts among the connections of its address.
    var isCounted: Bool {
        get { ofAddress.contains(.isCounted) }
        set { set(.isCounted, newValue) }
    }

    var address: IPAddress? {
        get { ofAddress.contains(.isKnown) ? IPAddress(high: addressHigh, low: addressLow) : nil }
        set {
            set(.isKnown, newValue != nil)
            addressHigh = newValue?.high ?? 0
            addressLow = newValue?.low ?? 0
        }
    }
}

/// A handshake that waits: for the rest of its head, or for an answer of Redis.
final class PendingHandshake {
    /// The bytes of the head, and what has come behind it.
    var bytes: [UInt8] = []
    /// How long the head is; nil while it is incomplete.
    var headLength: Int?
    var request: UpgradeRequest?
    var subprotocol = Subprotocol.unnamed
    var origin = OriginPolicy.Verdict.absent
    var kind = CredentialKind.none
    var identity: Identity?
    /// The token that waits to be verified.
    var token: [UInt8]?
    /// The server session that it presents.
    var session: Identifier?
    /// When it was asked for.
    var sessionAsked = BootTime(nanoseconds: 0)
    /// What the session may be bound to.
    var client: BoundClient?
    /// Whether the session knows of a second factor; nil: it does not say.
    var isMFAVerified: Bool?
    /// How long the session lives from one use to the next, where it says so.
    var sessionLife: Milliseconds?
    /// The stored role, once it was read: kept while a place or the room's subscription is waited for.
    var grant: Grant?
    /// The version that the token claims (`ver`).
    var version: Int64?
    /// Whether the opening is answered already: the credential came, or is to come, as the first message.
    var isUpgraded = false

    /// A client that sends this much before it has an answer is not waiting for one.
    static let maximumEarly = 64 << 10
}

import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import PortcullisWire
import Synchronization

/// What of a configuration can change while a gate runs: keys, limits, origins, what is reported, certificates. All else is what the gate
/// was started with.
struct Reloadable: Sendable {
    let origins: OriginPolicy
    let credentials: CredentialSource
    let closesOnKeyRemoval: Bool
    let headLimits: HeadLimits
    let messageLimits: MessageLimits
    let handshake: Milliseconds
    let heartbeat: Milliseconds
    let sendQueue: Int
    let rates: ConnectionRates
    let userCap: UserCap
    let connections: Int
    let throttle: AddressThrottle.Limits
    let reportsAdmissions: Bool
    /// The leeway of the keys that come with it, where a fresh sign-in is asked for.
    let tokens: TokenPolicy
    let tls: TLSContext?

    init(_ configuration: GateConfiguration) {
        origins = configuration.origins
        credentials = configuration.credentials
        closesOnKeyRemoval = configuration.closesOnKeyRemoval
        headLimits = configuration.headLimits
        messageLimits = configuration.messageLimits
        handshake = configuration.handshake
        heartbeat = configuration.heartbeat
        sendQueue = configuration.sendQueue
        rates = configuration.rates
        userCap = configuration.userCap
        connections = configuration.connections
        throttle = configuration.throttle
        reportsAdmissions = configuration.reportsAdmissions
        tokens = configuration.tokens
        tls = configuration.tls
    }
}

extension GateConfiguration {
    /// How many sources of handshakes are known. Those with connections are never forgotten: they get room of their own.
    var throttleCapacity: Int {
        AddressThrottle.standardCapacity + (throttle.connections > 0 ? connections : 0)
    }

    mutating func take(_ new: Reloadable) {
        origins = new.origins
        credentials = new.credentials
        closesOnKeyRemoval = new.closesOnKeyRemoval
        headLimits = new.headLimits
        messageLimits = new.messageLimits
        handshake = new.handshake
        heartbeat = new.heartbeat
        sendQueue = new.sendQueue
        rates = new.rates
        userCap = new.userCap
        connections = new.connections
        throttle = new.throttle
        reportsAdmissions = new.reportsAdmissions
        tokens = new.tokens
        // A listener that speaks in the clear goes on to do so, and one that does not never begins to.
        if tls != nil, let next = new.tls { tls = next }
    }
}

extension MessageLimits {
    /// Of a first message: a token as a JSON string in a JSON object; escapes may make it six times as long.
    static func firstMessage(token: Int) -> MessageLimits {
        let bytes = token.multipliedClamped(by: 6).addingClamped(1024)
        return MessageLimits(bytes: bytes, fragments: 16, emptyContinuations: 4)
    }
}

/// What whoever runs a gate wants of its loops.
enum LoopOrder: Sendable {
    /// Something else is configured from here on: for handshakes and messages that come.
    case reload(Reloadable)
    /// Say that you turn.
    case pulse(Pulse)
}

/// A question to all loops whether they turn. The last to answer says so.
final class Pulse: Sendable {
    private let left: Atomic<Int>
    private let answered: @Sendable () -> Void

    init(loops: Int, _ answered: @escaping @Sendable () -> Void) {
        left = Atomic(loops)
        self.answered = answered
    }

    func beat() {
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { answered() }
    }
}

extension GateLoop {
    func obey(_ order: LoopOrder) {
        switch order {
        case .pulse(let pulse): pulse.beat()
        case .reload(let new):
            let wasUncapped = configuration.userCap.connections == 0
            configuration.take(new)
            if wasUncapped { takePlacesAgain() }
            frameReader = FrameReader(.server, limits: new.messageLimits)
            firstFrameReader = FrameReader(.server, limits: .firstMessage(token: new.credentials.longestToken))
            if let tls = configuration.tls { engine.secureClients(by: tls) }
        }
    }
}

extension Gate {
    /// Takes what can change of a configuration: limits, origins, certificates, what is reported. Connections stay; what is new holds for
    /// the handshakes and messages that come. Keys come by ``replaceTokens(_:)``. Returns when every loop has been told.
    public func reload(_ configuration: GateConfiguration) {
        shared.throttle.withLock { $0.change(configuration.throttle, capacity: configuration.throttleCapacity) }
        shared.tellAll(.ordered(.reload(Reloadable(configuration))))
    }

    /// Asks every loop whether it turns.
    /// - Parameter answered: called once all have answered, from a loop's thread; it must not block. Never, where one hangs or has ended.
    public func pulse(_ answered: @escaping @Sendable () -> Void) {
        shared.tellAll(.ordered(.pulse(Pulse(loops: shared.mailboxes.count, answered))))
    }
}

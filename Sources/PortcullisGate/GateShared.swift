import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import Synchronization

/// What the loops of a gate share: the replica, each other's mailboxes, and the way out for reports.
final class GateShared: Sendable {
    let configuration: GateConfiguration
    /// The gate's random number of this run: the first half of every connection's name.
    let instance: UInt32
    let mailboxes: [Mailbox<LoopMessage>]
    let report: @Sendable (GateReport) -> Void
    /// The numbers of the keys. Held while a policy is posted, so that every loop gets two in the same order.
    let keyRegister: Mutex<KeyRegister>
    let keysAtStart: KeysInForce
    /// How often a token was among those that are remembered.
    let verifiedTokens: VerifiedTokenCounts
    /// One a process, changed before the loops are told. A handshake asks it under this lock, which is held for a look-up in memory.
    let standing: Mutex<StandingDecisions>
    let status = Mutex(GateStatus())
    /// One a process, so that the limits are exact however the kernel spreads an address over the loops.
    let throttle: Mutex<AddressThrottle>
    /// How far Redis' clock is ahead of CLOCK_BOOTTIME, in ms: no step of this machine's wall clock moves what Redis says. Until Redis was
    /// asked, the wall clock is its best guess.
    let redisClock = Atomic<Int64>(Clock.wall() - Clock.boot() / 1_000_000)
    /// Whether Redis has told its time yet.
    let knowsRedisTime = Atomic<Bool>(false)
    /// Connections of all loops.
    let connections = Atomic<Int>(0)
    /// What is on its way to each loop from the others.
    let relaying: [RelayGauge]
    /// What is on its way to Redis for other gates.
    let publishing = RelayGauge(loop: -1)
    /// When it was told last that the gate is full.
    let fullToldAt = Atomic<Int64>(.min)
    /// When memory was given back to the kernel last.
    let trimmedAt = Atomic<Int64>(.min)
    let requests = Atomic<UInt64>(0)
    let hasWarnedOfCreation = Atomic<Bool>(false)
    let hasWarnedOfForwarding = Atomic<Bool>(false)
    /// Requests of trusted proxies that name no address.
    let unreadableForwards = Atomic<Int>(0)

    init(
        _ configuration: GateConfiguration,
        instance: UInt32,
        mailboxes: [Mailbox<LoopMessage>],
        report: @escaping @Sendable (GateReport) -> Void
    ) {
        self.configuration = configuration
        self.instance = instance
        self.mailboxes = mailboxes
        relaying = mailboxes.indices.map { RelayGauge(loop: $0) }
        self.report = report
        var register = KeyRegister()
        keysAtStart = register.enter(configuration.tokens)
        verifiedTokens = register.counts
        keyRegister = Mutex(register)
        throttle = Mutex(AddressThrottle(limits: configuration.throttle, capacity: configuration.throttleCapacity))
        standing = Mutex(
            StandingDecisions(
                lifetimes: .init(
                    retention: configuration.appendPolicy.retention,
                    longestSession: configuration.appendPolicy.longestSession
                )
            )
        )
    }

    /// Redis' time, as well as it is known.
    func redisTime() -> WallTime {
        WallTime(milliseconds: (Clock.boot() / 1_000_000).addingClamped(redisClock.load(ordering: .relaxed)))
    }

    /// When a handshake is taken to happen. Decisions are dated by Redis: a wall clock that is ahead of it would let a credential count as
    /// issued after a revocation that it was shown before.
    func presented(wall: WallTime) -> WallTime {
        min(wall, redisTime())
    }

    func nextRequest() -> String {
        let number = requests.add(1, ordering: .relaxed).newValue
        return String(instance, radix: 16) + "-" + String(number, radix: 16)
    }

    func tellAll(_ message: LoopMessage) {
        for mailbox in mailboxes { mailbox.post(message) }
    }
}

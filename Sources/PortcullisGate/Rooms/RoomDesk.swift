import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// What the first loop knows of rooms: who wants them, what waits, what was lost.
struct RoomDesk {
    var interest = RoomInterest(most: 100_000)
    var held: HeldRooms
    var permits = PermitsUnderWay()
    /// What is to be written on the subscription link with the end of the turn.
    var output: [UInt8] = []
    /// Rooms whose messages did not reach Redis, or may not have: the members are told when the link stands. Those of this gate only where
    /// they may not have them either.
    var unsent: [Identifier: Bool] = [:]
    /// How many bytes of each room's messages went to Redis and have not come back.
    var returning: [Identifier: Int] = [:]
    /// Rooms of which messages were not given to a loop that can't follow: it is told when it can.
    var overfull: [Int: Set<Identifier>] = [:]
    var rejected = 0
    var lastRejection: RoomMessageRejection?
    var nextReport = BootTime(nanoseconds: .min)
    var json: StrictJSON
    /// How many bytes a message's content may have.
    let limit: Int

    /// Bytes that may be on their way from Redis to one loop.
    static let mostOnTheWay = 8 << 20
    static let mostUnsent = 100_000

    init(_ configuration: GateConfiguration) {
        held = HeldRooms(patience: Milliseconds(configuration.lease.count / 2))
        limit = configuration.messageLimits.bytes
        json = StrictJSON(maximumDepth: 32, maximumBytes: RoomMessage.longest(content: limit))
    }
}

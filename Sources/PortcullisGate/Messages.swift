import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisWire

/// What comes into a loop's mailbox.
enum LoopMessage: Sendable {
    /// A decision that stands in the replica already. The lease that covers it comes behind it.
    case decided(Decided)
    /// The view was confirmed by a question sent at that time.
    case vouched(at: BootTime)
    /// The subscription is lost or back: a deaf gate admits nobody.
    case deaf(Bool)
    case answered(StreamID, Answer)
    /// Redis was asked about the token of a `refresh`.
    case refreshAnswered(StreamID, Answer)
    case relayed(Relayed)
    case roomNews(RoomNews)
    case query(ConnectionQuery)
    /// A session was read by a question sent at that time.
    case sessionChanged(Identifier, SessionState, askedAt: BootTime)
    /// A session could not be read for the length of the lease.
    case sessionUnproved(Identifier)
    /// All sessions that were read under tracking are known as of that time.
    case sessionsProved(at: BootTime)
    /// Sessions that are held here must be read again: what Redis told of them may have been missed.
    case sessionsUncertain
    /// Redis was emptied: the versions of permissions begin anew.
    case versionsLost
    /// A newer connection of the user took the place of this one.
    case replaced(ConnectionID)
    /// Other keys verify tokens from here on.
    case keysReplaced(KeysInForce)
    /// Close everybody and end.
    case drain
    /// What the loop holds is to be counted (Census.swift).
    case count(@Sendable ([String: Int]) -> Void)
    /// What whoever runs the gate wants of every loop.
    case ordered(LoopOrder)
    // To the first loop only.
    case asked(Question, StreamID, loop: Int)
    case roomOrdered(RoomOrder, loop: Int)
    case enforced(Enforced)
    case queried(id: String, QueryPart)
    case readSession(Identifier)
    /// A session is in use: its time to live begins anew.
    case touchSession(Identifier, least: Milliseconds?)
    case placeChanged(PlaceChange)
    case drained(loop: Int)
    case resolved([Endpoint], Uplink.Kind, failure: String?)
    case sentinelResolved([Endpoint], index: Int, failure: String?)
}

/// A decision on its way to the loops.
struct Decided: Sendable {
    /// Tells the parts of its receipt from those of another.
    let serial: UInt64
    let decision: Decision
    /// The event's id or the one that stands for it.
    let event: Identifier
    let reason: String?
    let message: String?
    /// The version that a `permit` got.
    let version: Int64?
    /// The moment of the append by Redis' clock, or the gate's guess at it where an event was only published.
    let appended: WallTime
    /// When the gate read it.
    let readAt: BootTime
    let wantsReceipt: Bool
}

/// What one loop did about a decision.
struct Enforced: Sendable {
    let serial: UInt64
    let event: Identifier
    let type: String
    let wantsReceipt: Bool
    var matched = 0
    var closed = 0
    var narrowed = 0
    var spared = 0
    /// From the gate's read of the event to the last close frame written.
    var microseconds: Int64 = 0
}

/// What a loop needs to know from Redis.
enum Question: Sendable {
    case session(Identifier)
    /// When a session that does not say when it was made was seen first.
    case firstSeen(Identifier, left: Milliseconds?)
    case token(TokenCheck)
    /// The same of a live connection's `refresh`.
    case refresh(TokenCheck)
    case permission(user: Identifier, resource: Identifier)
    /// A place among the connections of the user.
    case place(user: Identifier, ConnectionID, UserCap)
    /// Taken, so that it opens one connection on one gate.
    case ticket(Identifier)
}

/// What Redis said.
enum Answer: Sendable {
    /// - Parameter asOf: when Redis was asked for it, or before.
    case session(SessionState, asOf: BootTime)
    case firstSeen(WallTime)
    case token(TokenCheck.Answer)
    case place(AdmissionScript.Answer)
    /// What the ticket holds; nil: there is none, or it has been used.
    case ticket([UInt8]?)
    /// The stored grant, as it stands in `P:perm:<user>`.
    case permission([UInt8]?)
    /// It could not be asked, or answered in error: the one handshake is refused.
    case unavailable(String)
}

/// A session as Redis has it.
enum SessionState: Sendable, Equatable {
    case absent
    /// - Parameter expires: by the time to live that came with the value; nil: never.
    case present(StoredSession, expires: WallTime?)
    case unreadable(String)
}

/// A message into a room, on its way to the members on a loop.
struct Relayed: Sendable {
    let resource: Identifier
    /// nil in `missed` alone.
    let user: Identifier?
    /// nil where a backend sent it.
    let connection: ConnectionID?
    let content: RoomMessage.Content

    /// Messages may have been lost.
    static func missed(_ resource: Identifier) -> Relayed {
        Relayed(resource: resource, user: nil, connection: nil, content: .missed)
    }
}

/// Which connections are asked for.
struct ConnectionQuery: Sendable {
    let id: String
    let select: Selector
    let except: Selector?
    let limit: Int
}

/// What one loop answers to a query.
struct QueryPart: Sendable {
    /// The connections as JSON objects, with commas between them.
    var rows: [UInt8] = []
    var count = 0
    var spared = 0
    /// Whether more match than are named.
    var more = false
}

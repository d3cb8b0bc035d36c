import PortcullisCore
import PortcullisReactor

/// What a loop asks of the first one, which holds the links to Redis, about rooms.
enum RoomOrder: Sendable {
    /// The loop has a member, or somebody who waits to become one: the room's channel is to be subscribed to. The serial tells this wish
    /// from an earlier one for the same room.
    case want(Identifier, serial: UInt64)
    /// It has neither any more.
    case release(Identifier)
    /// A member's message, and the same as it is written for Redis, but for its place in the log.
    case publish(Relayed, [UInt8])
    /// Which role is stored of a user on a resource.
    case permission(user: Identifier, resource: Identifier, StreamID)
    /// Somebody is in a room, or no more.
    case presence(PresenceChange)
}

/// What the first loop tells a loop about rooms.
enum RoomNews: Sendable {
    /// The room's subscription stands: what is published from here on comes.
    case stands(Identifier, serial: UInt64)
    /// The room can't be subscribed to now.
    case unavailable(Identifier, serial: UInt64, isFull: Bool)
    /// The subscription of every room is lost. Those that are wanted are subscribed to again when the link stands.
    case lost
    case permission(StreamID, Identifier, Answer)
    /// Who is in a room; nil: that can't be known now.
    case members(PresenceChange.Asker, Identifier, [Identifier]?)
}

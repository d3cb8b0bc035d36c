/// A resource that a session is a member of: a sequence of what happens in it.
///
/// ```swift
/// let room = try await session.join("doc:42")
/// try await room.publish(RawJSON(string: "hello"))
/// for await event in room { … }
/// ```
///
/// A room outlives connections: it is joined anew after each reconnect, and ends when the membership does, or the session. It keeps its
/// session alive. All rooms of one resource share one queue, of which each event goes to one iterator.
///
/// The queue is bounded (``GateSession/Rooms/buffer`` and 1,024 events). At the bound everything in it is dropped and one
/// ``Event/missed`` stands in its place, as where the gate itself has lost messages: a slow room holds up neither the others nor the
/// connection.
public struct Room: Sendable {
    public let resource: String
    let session: GateSession
    let mailbox: Mailbox<Event>

    /// What happens in a room.
    public enum Event: Equatable, Sendable {
        /// Relayed from another member.
        case message(Relayed)
        /// One's own membership stands, for the first time or again, or the gate has said anew who is in the room (``Room/members``). With
        /// `user`: that user is in the room now (`resources.presence`).
        case joined(Membership)
        /// With `user`: that user has left, with the last connection; without `user`: one's own membership has ended and the room with it.
        case left(Membership)
        /// One's own role has changed.
        case permission(PermissionChange)
        /// Messages may have been lost, in the gate, between two connections or in this queue: read the document anew.
        case missed
        /// The gate did not act on a publish (`ref` is what ``Room/publish(_:)`` returned), or did not let us in again: then it is the
        /// last event.
        case refused(MessageError)
        /// The connection was lost; ``joined(_:)`` and ``missed`` follow when the room stands again.
        case disconnected
    }

    /// One's own role of the moment, where the gate said.
    public var role: String? {
        session.core.role(on: resource)
    }

    /// The users in the room at the moment, oneself among them, each once; nil while that is not known: without a connection, or where the
    /// gate does not tell (`resources.presence`). Of a room with more than a thousand, some.
    public var members: [String]? {
        session.core.members(of: resource)
    }

    /// Sends to every other member; takes the role `editor`. Returns when the system has taken the message: the gate says nothing to a
    /// publish that it acts on, and ``Event/refused(_:)`` to one that it does not.
    ///
    /// - Returns: the `ref` that the message was sent with.
    /// - Throws: ``GateFailure`` of the kind `closed` while the membership does not stand: nothing is kept for later.
    @discardableResult
    public func publish(_ data: RawJSON) async throws(GateFailure) -> RawJSON {
        try await session.core.publish(data, on: resource)
    }

    /// Ends the membership, and waits for the gate's answer.
    ///
    /// - Throws: ``GateFailure`` of the kind `rejected` with the gate's code, or `timedOut`; a room that is over already is no failure.
    public func leave() async throws(GateFailure) {
        try await session.core.leave(resource)
    }
}

extension Room: AsyncSequence {
    public typealias Element = Event
    public typealias Failure = Never

    public func makeAsyncIterator() -> Iterator {
        Iterator(room: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let room: Room

        /// The next event; nil at the end, or when the task is cancelled.
        public mutating func next() async -> Event? {
            await room.mailbox.next()
        }
    }
}

extension Room.Event {
    /// How much of a queue's bound it takes.
    var size: Int {
        guard case .message(let relayed) = self else { return 64 }
        return 64 + (relayed.data?.text.utf8.count ?? 0) + (relayed.base64?.utf8.count ?? 0)
    }
}

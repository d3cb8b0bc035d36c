/// A connection that is made again when it ends, as its gate advises; refreshed when its credential is about to expire; with rooms.
///
/// ```swift
/// let session = GateSession(url: url, credential: .token(token)) { _ in .token(try await freshToken()) }
/// let room = try await session.join("doc:42")
/// for await event in session { … }
/// ```
///
/// Nothing runs before it is iterated, started or asked for a room. It is meant to be iterated by one task, once; cancelling that task ends
/// it all, and so does letting go of the session and its rooms.
///
/// **Bounds.** 1,024 events and ``GateConnection/Options/inboundBuffer`` bytes wait to be taken. While it is iterated, nothing is lost: at
/// the bound the session reads no further, and the gate feels it (so a loop over the events that is slow holds up the rooms, too). While
/// nobody iterates, the oldest events are dropped at the bound: who only uses rooms need not iterate, and a loop may be left.
public final class GateSession: Sendable {
    /// Asked for a fresh credential; nil means that there is none. One call at a time: whatever else wants a credential meanwhile gets this
    /// one. What it throws is not shown to anybody. It may take its time: a gate whose deadline passes closes the connection, and the
    /// reconnect advice takes over.
    public typealias Credentials = @Sendable (CredentialRequest) async throws -> GateCredential?

    /// How the session treats its rooms.
    public struct Rooms: Sendable {
        /// How long ``GateSession/join(_:)`` and ``Room/leave()`` wait for the answer, a connection included.
        public var answerTimeout = Duration.seconds(10)
        /// How many bytes of events wait in a room.
        public var buffer = 1 << 20
        /// Whether messages that go to a room come as events of the session, too.
        public var areEvents = false

        public init() {}
    }

    public let url: GateURL
    let core: SessionCore

    /// - Parameters:
    ///   - credentials: asked before the credential expires, where the gate wants a newer authentication, and where a gate wants a fresh
    ///     credential of the next connection. Without it, nothing is refreshed, and a session ends where one is wanted.
    public init(
        url: GateURL,
        credential: GateCredential,
        options: GateConnection.Options = .init(),
        policy: ReconnectPolicy = .init(),
        rooms: Rooms = .init(),
        credentials: Credentials? = nil
    ) {
        self.url = url
        core = SessionCore(url, credential, options, policy, rooms, credentials)
    }

    deinit {
        core.close()
    }

    /// Begins to connect; a no-op where it has begun.
    public func start() {
        core.start()
    }

    /// Becomes a member of a resource, now and after each reconnect. The resource that the session's URL is bound to is a room without being
    /// asked for: joining it only waits for the welcome.
    ///
    /// - Throws: ``GateFailure``: `rejected` with the gate's code (`forbidden`, `bad_resource`, …), `timedOut`, `closed` where the session
    ///   is over, `cancelled`, or `invalid` for a name that is not of 1 to 255 bytes and on a raw connection, where there are no rooms.
    public func join(_ resource: String) async throws(GateFailure) -> Room {
        Room(resource: resource, session: self, mailbox: try await core.join(resource))
    }

    /// Sends a message on the connection of the moment.
    ///
    /// - Throws: ``GateFailure`` of the kind `closed` while there is none: nothing is kept for later.
    public func send(_ message: ClientMessage) async throws(GateFailure) {
        try await core.send(message)
    }

    /// Says goodbye to the gate and connects no more: the sequence ends, with `closed` if there was a connection.
    public func close() {
        core.close()
    }
}

internal import NIOCore

/// A WebSocket connection to a gate.
///
/// ```swift
/// let connection = try await GateConnection.connect(
///     to: GateURL("ws://127.0.0.1:8080/ws/doc:42"),
///     credential: .token(token)
/// )
/// for await received in connection.messages { … }
/// print(await connection.end())
/// ```
///
/// Pings are answered. What comes is read no faster than ``messages`` is iterated: whoever never iterates sees neither messages nor,
/// behind more of them than ``Options/inboundBuffer`` holds, the end. A connection that nobody holds any more is closed.
public final class GateConnection: Sendable {
    /// How to connect, and the bounds of a connection.
    public struct Options: Sendable {
        public var subprotocol = Subprotocol.v1
        /// From the resolution of the name to the answer of the gate; and again, in `portcullis.v1`, from there to its first message.
        public var handshakeTimeout = Duration.seconds(10)
        /// How long to wait for the gate's part of the closing handshake.
        public var closeTimeout = Duration.seconds(2)
        /// The largest frame and the largest message, in bytes; a larger one ends the connection with 1009. At most 2³¹ − 1.
        public var maximumMessageSize = 16 << 20
        /// How many bytes of messages wait to be taken before reading stops.
        public var inboundBuffer = 1 << 20
        /// The `Origin` header; by default there is none, except beside a session cookie, which needs one: the gate's own.
        public var origin: String?
        /// A file of PEM certificates that `wss://` is verified by, in place of the system's. Without verification there is no TLS.
        public var trustedRoots: String?
        /// How long a gate may be silent before it is pinged; after twice as long the connection is lost. By default what the welcome says
        /// (`heartbeat_s`); a raw connection has no welcome, and without this no such limit.
        public var heartbeat: Duration?

        public init() {}

        /// In the bounds of the frame decoder, which holds a whole frame.
        var frameLimit: Int {
            min(max(maximumMessageSize, 1), Int(Int32.max))
        }
    }

    /// Where it is connected to.
    public let url: GateURL
    public let subprotocol: Subprotocol
    private let channel: any Channel
    private let queue: InboundQueue

    private init(url: GateURL, subprotocol: Subprotocol, channel: any Channel, queue: InboundQueue) {
        self.url = url
        self.subprotocol = subprotocol
        self.channel = channel
        self.queue = queue
    }

    deinit {
        channel.close(promise: nil)
    }

    /// Connects, and does the WebSocket handshake (RFC 6455, section 4.1).
    ///
    /// - Throws: ``GateFailure``; a handshake that the gate refused is of the kind `refused` and carries what it answered.
    public static func connect(
        to url: GateURL,
        credential: GateCredential,
        options: Options = Options()
    ) async throws(GateFailure) -> GateConnection {
        let (channel, queue) = try await Opening(url: url, credential: credential, options: options).run()
        let connection = GateConnection(url: url, subprotocol: options.subprotocol, channel: channel, queue: queue)
        if case .firstMessage(let token) = credential { connection.startSending(.authenticate(token: token)) }
        return connection
    }

    /// The messages as they come, to the end of the connection. Each goes to one iterator only.
    public var messages: Messages {
        Messages(connection: self)
    }

    /// Sends a message, and returns when the system has taken all of it: a gate that does not read makes the caller wait.
    ///
    /// - Throws: ``GateFailure`` of the kind `closed`, or `invalid` for a message of 2³¹ bytes and more.
    public func send(_ message: ClientMessage) async throws(GateFailure) {
        let outgoing = Outgoing(message)
        guard outgoing.size <= Int(Int32.max) else { throw .invalid("The message is too large.") }
        do {
            try await channel.writeAndFlush(outgoing).get()
        } catch {
            throw .closed
        }
    }

    /// As ``send(_:)`` for what is small and comes from the library, without waiting; what cannot be sent is lost with the connection.
    func startSending(_ message: ClientMessage) {
        channel.writeAndFlush(Outgoing(message), promise: nil)
    }

    /// Says goodbye, and waits for the gate's answer or ``Options/closeTimeout``. Messages that come meanwhile are dropped.
    ///
    /// - Parameters:
    ///   - code: one that a close frame may carry (RFC 6455, section 7.4), else 1000 is sent.
    ///   - reason: cut to the 123 bytes that a close frame has room for.
    /// - Returns: how the connection ended, which may be otherwise, if the gate was first; nil only if the task is cancelled.
    @discardableResult
    public func close(code: UInt16 = 1000, reason: String = "") async -> Closed? {
        startClosing(code: code, reason: reason)
        return await queue.end()
    }

    /// As ``close(code:reason:)``, without waiting.
    public func startClosing(code: UInt16 = 1000, reason: String = "") {
        var reason = reason
        while reason.utf8.count > 123 { reason.removeLast() }
        let code = MessageAssembler.isSendable(code) ? code : 1000
        channel.writeAndFlush(Outgoing.close(code: code, reason: reason), promise: nil)
    }

    /// How the connection ended; nil while it has not.
    public var closed: Closed? {
        queue.closed
    }

    /// Waits until the connection has ended; nil only if the task is cancelled before.
    public func end() async -> Closed? {
        await queue.end()
    }

    fileprivate func next() async -> Received? {
        await queue.next()
    }
}

extension GateConnection {
    /// The messages of a connection.
    public struct Messages: AsyncSequence, Sendable {
        public typealias Element = Received
        public typealias Failure = Never

        let connection: GateConnection

        public func makeAsyncIterator() -> Iterator {
            Iterator(connection: connection)
        }

        public struct Iterator: AsyncIteratorProtocol {
            let connection: GateConnection

            /// The next message; nil at the end, or when the task is cancelled.
            public mutating func next() async -> Received? {
                await connection.next()
            }
        }
    }
}

extension Outgoing {
    fileprivate init(_ message: ClientMessage) {
        switch (message, message.text) {
        case (.binary(let bytes), _): self = .binary(bytes)
        case (_, let text): self = .text(text ?? "")
        }
    }

    fileprivate var size: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.count
        case .close(_, let reason): reason.utf8.count
        }
    }
}

internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOWebSocket
internal import Synchronization

/// One attempt at a connection: from the name of a host to 101 or a reason why not, under one deadline.
struct Opening: Sendable {
    enum Outcome: Sendable {
        case open(channel: any Channel, queue: InboundQueue)
        case refused(EventLoopFuture<Refused>)
    }

    let url: GateURL
    let credential: GateCredential
    let options: GateConnection.Options

    func run() async throws(GateFailure) -> (channel: any Channel, queue: InboundQueue) {
        let head = try requestHead()
        let sockets = OpeningSockets()
        let group = MultiThreadedEventLoopGroup.singleton
        let deadline = group.any().scheduleTask(in: TimeAmount(options.handshakeTimeout)) { sockets.giveUp(.late) }
        defer { deadline.cancel() }
        do {
            return try await withTaskCancellationHandler {
                switch try await connect(head: head, sockets: sockets, group: group) {
                case .open(let channel, let queue):
                    guard sockets.release() else { throw CancellationError() }
                    return (channel, queue)
                case .refused(let refusal):
                    throw GateFailure.refused(try await refusal.get())
                }
            } onCancel: {
                sockets.giveUp(.cancelled)
            }
        } catch {
            let reason = sockets.reason
            sockets.giveUp(.failed)
            if error is GateFailure { throw NetworkError.failure(error) }
            switch reason {
            case .late: throw GateFailure(.timedOut, "The handshake was not answered in time.")
            case .cancelled: throw .cancelled
            case .failed, nil: throw NetworkError.failure(error)
            }
        }
    }

    private func connect(
        head: HTTPRequestHead,
        sockets: OpeningSockets,
        group: MultiThreadedEventLoopGroup
    ) async throws -> Outcome {
        let upgrade = try await ClientBootstrap(group: group)
            .connectTimeout(TimeAmount(options.handshakeTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: url.host, port: url.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try sockets.add(channel)
                    return try configure(channel, head: head)
                }
            }
        return try await upgrade.get()
    }

    private func requestHead() throws(GateFailure) -> HTTPRequestHead {
        var ticket: Secret?
        if case .ticket(let value) = credential { ticket = value }
        var headers = HTTPHeaders([("Host", url.authority)])
        for (name, value) in try credential.headers(for: url) { headers.add(name: name, value: value) }
        if let origin = options.origin {
            guard origin.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .invalid("The origin is not valid.")
            }
            headers.replaceOrAdd(name: "Origin", value: origin)
        }
        if options.subprotocol == .v1 { headers.add(name: "Sec-WebSocket-Protocol", value: Subprotocol.v1.rawValue) }
        return HTTPRequestHead(version: .http1_1, method: .GET, uri: url.target(ticket: ticket), headers: headers)
    }

    private func configure(_ channel: any Channel, head: HTTPRequestHead) throws -> EventLoopFuture<Outcome> {
        let upgrader = NIOTypedWebSocketClientUpgrader<Outcome>(
            maxFrameSize: options.frameLimit,
            // Ours knows more rules, and reports which was broken.
            enableAutomaticErrorHandling: false
        ) { channel, response in
            channel.eventLoop.makeCompletedFuture { try open(channel, response: response) }
        }
        var configuration = NIOUpgradableHTTPClientPipelineConfiguration(
            upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration(
                upgradeRequestHead: head,
                upgraders: [upgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let promise = channel.eventLoop.makePromise(of: Refused.self)
                        try channel.pipeline.syncOperations.addHandler(RefusalReader(promise: promise))
                        return .refused(promise.futureResult)
                    }
                }
            )
        )
        // A gate's first frames may come in the segment of its 101.
        configuration.leftOverBytesStrategy = .forwardBytes
        return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(configuration: configuration)
    }

    private func open(_ channel: any Channel, response: HTTPResponseHead) throws -> Outcome {
        // RFC 6455, section 4.1: what was not offered must not be chosen.
        let chosen = response.headers["Sec-WebSocket-Protocol"]
        let expected = options.subprotocol == .v1 ? [Subprotocol.v1.rawValue] : []
        guard chosen == expected else {
            throw GateFailure(
                .notWebSocket,
                options.subprotocol == .v1
                    ? "What answered speaks WebSocket, but not portcullis.v1."
                    : "The gate chose a subprotocol that was not offered."
            )
        }
        guard !response.headers.contains(name: "Sec-WebSocket-Extensions") else {
            throw GateFailure(.notWebSocket, "The gate chose an extension that was not offered.")
        }
        let queue = InboundQueue(maximumBytes: options.inboundBuffer) { [weak channel] in
            channel?.triggerUserOutboundEvent(RoomMade(), promise: nil)
        }
        let handler = MessageHandler(
            queue: queue,
            subprotocol: options.subprotocol,
            maximumSize: options.frameLimit,
            closeTimeout: TimeAmount(options.closeTimeout)
        )
        try channel.pipeline.syncOperations.addHandler(handler)
        return .open(channel: channel, queue: queue)
    }
}

/// The sockets of an attempt (a name may have several addresses), so that a deadline or a cancellation can close them.
private final class OpeningSockets: Sendable {
    enum Reason: Sendable {
        case late
        case cancelled
        case failed
    }

    private let state = Mutex<(channels: [any Channel], reason: Reason?)>(([], nil))

    var reason: Reason? {
        state.withLock(\.reason)
    }

    func add(_ channel: any Channel) throws {
        let isLate = state.withLock { state in
            guard state.reason == nil else { return true }
            state.channels.append(channel)
            return false
        }
        if isLate { throw CancellationError() }
    }

    /// Leaves the sockets alone from now on; false where they were closed already.
    func release() -> Bool {
        state.withLock { state in
            state.channels = []
            return state.reason == nil
        }
    }

    func giveUp(_ reason: Reason) {
        let channels = state.withLock { state in
            state.reason = state.reason ?? reason
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

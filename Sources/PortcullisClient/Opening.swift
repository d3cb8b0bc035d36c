internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// One attempt at a connection: from the name of a host to 101 or a reason why not, under one deadline.
struct Opening: Sendable {
    let url: GateURL
    let credential: GateCredential
    let options: GateConnection.Options

    func run() async throws(GateFailure) -> (channel: any Channel, queue: InboundQueue) {
        let request = try HandshakeRequest(url: url, credential: credential, options: options)
        let tls = try Transport.context(for: url, trustedRoots: options.trustedRoots)
        let sockets = OpeningSockets()
        let timeout = TimeAmount(options.handshakeTimeout)
        let group = MultiThreadedEventLoopGroup.singleton
        let deadline = group.any().scheduleTask(in: timeout) { sockets.giveUp(.late) }
        defer { deadline.cancel() }
        do {
            return try await withTaskCancellationHandler {
                let outcome = try await ClientBootstrap(group: group)
                    .connectTimeout(timeout)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: url.host, port: url.port) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try sockets.add(channel)
                            let promise = channel.eventLoop.makePromise(of: HandshakeOutcome.self)
                            let handler = HandshakeHandler(request: request, options: options, promise: promise)
                            do {
                                if let tls {
                                    let secure = try Transport.handler(tls, host: url.host)
                                    try channel.pipeline.syncOperations.addHandler(secure)
                                }
                                try channel.pipeline.syncOperations.addHandler(handler)
                            } catch {
                                // A socket that is closed already, or a name that is none: nobody else would keep the promise.
                                promise.fail(error)
                            }
                            return promise.futureResult
                        }
                    }
                switch try await outcome.get() {
                case .open(let channel, let queue):
                    guard sockets.release() else { throw CancellationError() }
                    return (channel, queue)
                case .refused(let refusal):
                    throw GateFailure.refused(refusal)
                }
            } onCancel: {
                sockets.giveUp(.cancelled)
            }
        } catch {
            throw Self.failure(error, sockets: sockets)
        }
    }

    /// A deadline and a cancellation show as closed sockets: what closed them is the reason.
    private static func failure(_ error: any Error, sockets: OpeningSockets) -> GateFailure {
        let reason = sockets.reason
        sockets.giveUp(.failed)
        if let failure = error as? GateFailure { return failure }
        return switch reason {
        case .late: GateFailure(.timedOut, "The handshake was not answered in time.")
        case .cancelled: .cancelled
        case .failed, nil: NetworkError.failure(error)
        }
    }
}

/// The sockets of an attempt (a name may have several addresses), so that a deadline or a cancellation can close them.
private final class OpeningSockets: Sendable {
    enum Reason: Sendable {
        case late
        case cancelled
        case failed
    }

    private let state = NIOLockedValueBox<(channels: [any Channel], reason: Reason?)>(([], nil))

    var reason: Reason? {
        state.withLockedValue(\.reason)
    }

    func add(_ channel: any Channel) throws {
        let isLate = state.withLockedValue { state in
            guard state.reason == nil else { return true }
            state.channels.append(channel)
            return false
        }
        if isLate { throw CancellationError() }
    }

    /// Leaves the sockets alone from now on; false where they were closed already.
    func release() -> Bool {
        state.withLockedValue { state in
            state.channels = []
            return state.reason == nil
        }
    }

    func giveUp(_ reason: Reason) {
        let channels = state.withLockedValue { state in
            state.reason = state.reason ?? reason
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

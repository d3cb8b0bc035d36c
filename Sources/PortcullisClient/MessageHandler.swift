internal import NIOCore
internal import NIOWebSocket

/// What a connection asks of its handler.
enum Outgoing: Sendable {
    case text(String)
    case binary([UInt8])
    case close(code: UInt16, reason: String)
}

/// Sent through the pipeline when the queue has room again.
struct RoomMade: Sendable {}

/// The last handler of a connection: frames in, messages into the queue, and the closing handshake.
final class MessageHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = Outgoing
    typealias OutboundOut = WebSocketFrame

    private enum Phase {
        case open
        /// We sent a close frame and wait for the gate's.
        case closing
        /// Nothing that comes is acted on.
        case closed
    }

    private let queue: InboundQueue
    private let subprotocol: Subprotocol
    private let welcomeTimeout: TimeAmount
    private let closeTimeout: TimeAmount
    /// Runs until the first message has come.
    private var welcomeTimer: Scheduled<Void>?
    private var assembler: MessageAssembler
    private var phase = Phase.open
    private var closing: Closing?
    private var failure: (any Error)?
    private var isPaused = false
    private var isReadHeldBack = false

    init(
        queue: InboundQueue,
        subprotocol: Subprotocol,
        maximumSize: Int,
        welcomeTimeout: TimeAmount,
        closeTimeout: TimeAmount
    ) {
        self.queue = queue
        self.subprotocol = subprotocol
        self.welcomeTimeout = welcomeTimeout
        self.closeTimeout = closeTimeout
        assembler = MessageAssembler(maximumSize: maximumSize)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard subprotocol == .v1 else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        welcomeTimer = context.eventLoop.scheduleTask(in: welcomeTimeout) {
            let (handler, context) = bound.value
            handler.lose("The gate accepted the connection and then said nothing.", context: context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        welcomeTimer?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let arrival = ContinuousClock.now
        guard phase != .closed else { return }
        switch assembler.frameReceived(unwrapInboundIn(data)) {
        case .wait:
            break
        case .deliver(let payload):
            deliver(payload, arrival: arrival, context: context)
        case .pong(let payload):
            if phase == .open { write(.pong, payload, context: context) }
        case .closed(let code, let reason):
            closeReceived(code: code, reason: reason, arrival: arrival, context: context)
        case .fail(let violation):
            fail(violation, context: context)
        }
    }

    private func deliver(_ payload: Payload, arrival: ContinuousClock.Instant, context: ChannelHandlerContext) {
        // After our own close frame nobody waits for messages, only for the answer to it.
        guard phase == .open else { return }
        let received = Received(payload, subprotocol: subprotocol, arrival: arrival)
        welcomeTimer?.cancel()
        switch received.message {
        case .closing(let last): closing = last
        case .welcome(let welcome): heartbeatReceived(welcome.heartbeatSeconds, context: context)
        default: break
        }
        if !queue.add(received) { isPaused = true }
    }

    /// What is no time, or none that a gate could keep, is not believed.
    private func heartbeatReceived(_ seconds: Double?, context: ChannelHandlerContext) {
        guard let seconds, seconds >= 0.1, let interval = Duration.clamped(seconds: seconds) else { return }
        context.triggerUserOutboundEvent(HeartbeatKnown(interval: TimeAmount(interval)), promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? Silence {
        case .askNow: if phase == .open { write(.ping, ByteBuffer(), context: context) }
        case .gone: lose("The gate has been silent for two heartbeats.", context: context)
        case nil: context.fireUserInboundEventTriggered(event)
        }
    }

    private func lose(_ why: String, context: ChannelHandlerContext) {
        guard phase != .closed else { return }
        end(Closed(phase == .closing ? .client : .lost(why), closing: closing))
        context.close(promise: nil)
    }

    private func closeReceived(
        code: UInt16?,
        reason: String,
        arrival: ContinuousClock.Instant,
        context: ChannelHandlerContext
    ) {
        let cause: Closed.Cause = phase == .closing ? .client : .gate
        if phase == .open {
            // RFC 6455, section 5.5.1: the answer echoes the code.
            write(.connectionClose, code.map { ByteBuffer(integer: $0) } ?? ByteBuffer(), context: context)
        }
        end(Closed(cause, code: code, reason: reason, closing: closing, arrival: arrival))
        // The server closes the connection first (section 7.1.1); this is for one that does not.
        scheduleHardClose(context: context)
    }

    private func fail(_ violation: Violation, context: ChannelHandlerContext) {
        guard phase != .closed else { return }
        let payload = ByteBuffer(integer: violation.code)
        end(Closed(.violation(violation.rule), code: violation.code))
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        write(.connectionClose, payload, context: context.value).whenComplete { _ in
            context.value.close(promise: nil)
        }
    }

    private func end(_ closed: Closed) {
        phase = .closed
        queue.finish(closed)
    }

    private func scheduleHardClose(context: ChannelHandlerContext) {
        let channel = context.channel
        let timer = context.eventLoop.scheduleTask(in: closeTimeout) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in timer.cancel() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength:
            fail(.tooBig, context: context)
        case is NIOWebSocketError:
            fail(.controlFrame, context: context)
        default:
            failure = error
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if phase != .closed {
            let why = failure.map(NetworkError.sentence) ?? "The connection was lost without a close frame."
            end(Closed(phase == .closing ? .client : .lost(why), closing: closing))
        }
        context.fireChannelInactive()
    }

    // MARK: Reading no faster than messages are taken

    func read(context: ChannelHandlerContext) {
        if isPaused && phase == .open {
            isReadHeldBack = true
        } else {
            context.read()
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is RoomMade else { return context.triggerUserOutboundEvent(event, promise: promise) }
        readOn(context: context)
        promise?.succeed()
    }

    private func readOn(context: ChannelHandlerContext) {
        isPaused = false
        guard isReadHeldBack else { return }
        isReadHeldBack = false
        context.read()
    }

    // MARK: Writing

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard phase == .open else {
            promise?.fail(GateFailure.closed)
            return
        }
        switch unwrapOutboundIn(data) {
        case .text(let text):
            send(.text, ByteBuffer(string: text), promise: promise, context: context)
        case .binary(let bytes):
            send(.binary, ByteBuffer(bytes: bytes), promise: promise, context: context)
        case .close(let code, let reason):
            phase = .closing
            var payload = ByteBuffer(integer: code)
            payload.writeString(reason)
            send(.connectionClose, payload, promise: promise, context: context)
            scheduleHardClose(context: context)
            // The answer stands behind whatever was held back.
            readOn(context: context)
        }
    }

    @discardableResult
    private func write(
        _ opcode: WebSocketOpcode,
        _ payload: ByteBuffer,
        context: ChannelHandlerContext
    ) -> EventLoopFuture<Void> {
        let promise = context.eventLoop.makePromise(of: Void.self)
        send(opcode, payload, promise: promise, context: context)
        context.flush()
        return promise.futureResult
    }

    private func send(
        _ opcode: WebSocketOpcode,
        _ payload: ByteBuffer,
        promise: EventLoopPromise<Void>?,
        context: ChannelHandlerContext
    ) {
        // RFC 6455, section 5.3: a fresh key for each frame, from a strong source.
        let frame = WebSocketFrame(fin: true, opcode: opcode, maskKey: .random(), data: payload)
        context.write(wrapOutboundOut(frame), promise: promise)
    }
}

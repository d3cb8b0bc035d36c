internal import NIOCore

/// Sent down the pipeline when the gate has said how often it pings.
struct HeartbeatKnown: Sendable {
    let interval: TimeAmount
}

/// What a silence means, told to the handlers above.
enum Silence: Sendable {
    /// A heartbeat without a byte: ask whether somebody is there.
    case askNow
    /// Two: nobody is.
    case gone
}

/// Notices a gate that says nothing any more: a half-open connection has no other sign. It stands at the bottom, where bytes count,
/// so that a large message that comes slowly is no silence; and while nobody reads, nothing is one.
final class SilenceHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var interval: TimeAmount?
    private var last = NIODeadline.now()
    private var isReading = true
    /// When the gate was asked whether it is there: from then on it has a whole heartbeat, also where this process stood still meanwhile.
    private var asked: NIODeadline?
    private var timer: Scheduled<Void>?

    /// - Parameter interval: nil while it is not known.
    init(interval: TimeAmount?) {
        self.interval = interval
    }

    func handlerAdded(context: ChannelHandlerContext) {
        touch()
        schedule(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        touch()
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if !isReading {
            isReading = true
            touch()
        }
        context.read()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let known = event as? HeartbeatKnown else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        if interval == nil {
            interval = known.interval
            touch()
            schedule(context)
        }
        promise?.succeed()
    }

    private func touch() {
        last = .now()
        asked = nil
    }

    private func schedule(_ context: ChannelHandlerContext) {
        guard let interval else { return }
        let due = (asked ?? last) + interval
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer?.cancel()
        timer = context.eventLoop.scheduleTask(deadline: due) {
            let (handler, context) = bound.value
            handler.timerFired(context)
        }
    }

    private func timerFired(_ context: ChannelHandlerContext) {
        guard let interval, timer != nil else { return }
        if !isReading { touch() }
        let now = NIODeadline.now()
        switch asked {
        case let asked? where now - asked >= interval:
            timer = nil
            return context.fireUserInboundEventTriggered(Silence.gone)
        case nil where now - last >= interval:
            asked = now
            context.fireUserInboundEventTriggered(Silence.askNow)
        default:
            break
        }
        schedule(context)
    }
}

internal import NIOCore
internal import NIOHTTP1
internal import NIOWebSocket

/// What came of a handshake.
enum HandshakeOutcome: Sendable {
    case open(any Channel, InboundQueue)
    case refused(Refused)
}

/// The first handler of a connection: asks for the upgrade, reads the answer, and builds the rest of the pipeline.
final class HandshakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case waiting(ResponseReader)
        /// What comes is handed on.
        case open
        case failed
    }

    private let request: HandshakeRequest
    private let options: GateConnection.Options
    private let promise: EventLoopPromise<HandshakeOutcome>
    private var phase = Phase.waiting(ResponseReader())
    /// The framework knows how the key is made and what must come back for it.
    private let upgrader = NIOWebSocketClientUpgrader { channel, _ in channel.eventLoop.makeSucceededVoidFuture() }

    init(request: HandshakeRequest, options: GateConnection.Options, promise: EventLoopPromise<HandshakeOutcome>) {
        self.request = request
        self.options = options
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        var upgrade = HTTPHeaders([("Upgrade", "websocket"), ("Connection", "Upgrade")])
        upgrader.addCustom(upgradeRequestHeaders: &upgrade)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request.text(adding: upgrade))), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .open:
            context.fireChannelRead(data)
        case .failed:
            break
        case .waiting(var reader):
            let step = reader.bytesReceived(unwrapInboundIn(data))
            phase = .waiting(reader)
            take(step, context: context)
        }
    }

    private func take(_ step: ResponseReader.Step, context: ChannelHandlerContext) {
        switch step {
        case .more:
            break
        case .switched(let headers, let rest):
            do {
                try open(headers: headers, context: context)
            } catch {
                return fail(error, context: context)
            }
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
        case .refused(let refusal):
            phase = .failed
            promise.succeed(.refused(refusal))
            context.close(promise: nil)
        case .malformed:
            fail(GateFailure(.notWebSocket, "What answered does not speak HTTP."), context: context)
        }
    }

    private func open(headers: HTTPHeaders, context: ChannelHandlerContext) throws {
        try check(headers)
        let channel = context.channel
        let queue = InboundQueue(maximumBytes: options.inboundBuffer) { [weak channel] in
            channel?.triggerUserOutboundEvent(RoomMade(), promise: nil)
        }
        let decoder = ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: options.frameLimit))
        let handler = MessageHandler(
            queue: queue,
            subprotocol: options.subprotocol,
            maximumSize: options.frameLimit,
            welcomeTimeout: TimeAmount(options.handshakeTimeout),
            closeTimeout: TimeAmount(options.closeTimeout)
        )
        let silence = SilenceHandler(
            interval: options.heartbeat.map { TimeAmount(min(max($0, .milliseconds(10)), .seconds(86_400))) }
        )
        try context.pipeline.syncOperations.addHandlers(silence, WebSocketFrameEncoder(), decoder, handler)
        phase = .open
        promise.succeed(.open(channel, queue))
    }

    /// RFC 6455, section 4.1: what must come back, and what must not have been chosen without an offer.
    private func check(_ headers: HTTPHeaders) throws(GateFailure) {
        func has(_ name: String, _ value: String) -> Bool {
            headers[canonicalForm: name].contains { $0.lowercased() == value }
        }
        let response = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers)
        guard has("Upgrade", "websocket"), has("Connection", "upgrade"),
            upgrader.shouldAllowUpgrade(upgradeResponse: response)
        else {
            throw GateFailure(.notWebSocket, "The answer to the handshake does not fit the request: no gate wrote it.")
        }
        let chosen = headers["Sec-WebSocket-Protocol"]
        guard chosen == request.offer else {
            let isV1 = options.subprotocol == .v1
            throw GateFailure(
                .notWebSocket,
                isV1 ? "What answered does not speak portcullis.v1." : "A subprotocol was chosen that was not offered."
            )
        }
        guard !headers.contains(name: "Sec-WebSocket-Extensions") else {
            throw GateFailure(.notWebSocket, "An extension was chosen that was not offered.")
        }
    }

    private func fail(_ error: any Error, context: ChannelHandlerContext) {
        phase = .failed
        promise.fail(error)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .waiting = phase else { return context.fireErrorCaught(error) }
        fail(error, context: context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .waiting(var reader) = phase {
            switch reader.ended() {
            case .refused(let refusal): promise.succeed(.refused(refusal))
            default: promise.fail(ChannelError.eof)
            }
            phase = .failed
        }
        context.fireChannelInactive()
    }

    /// A socket that never became active (another address of the name was faster) ends here.
    func handlerRemoved(context: ChannelHandlerContext) {
        guard case .waiting = phase else { return }
        phase = .failed
        promise.fail(ChannelError.eof)
    }
}

internal import NIOCore
internal import NIOHTTP1

/// Reads an answer to the handshake that is not 101. What it says may be cut short: the status alone is worth having.
final class RefusalReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    /// Far above any problem document.
    private static let maximumBody = 64 << 10

    private let promise: EventLoopPromise<Refused>
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []

    init(promise: EventLoopPromise<Refused>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body(let part):
            body += part.readableBytesView.prefix(Self.maximumBody - body.count)
            if body.count == Self.maximumBody { finish(context: context) }
        case .end:
            finish(context: context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(context: context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(context: context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(context: context)
    }

    private func finish(context: ChannelHandlerContext) {
        if let head {
            promise.succeed(
                Refused(
                    status: Int(head.status.code),
                    contentType: head.headers.first(name: "Content-Type"),
                    retryAfter: head.headers.first(name: "Retry-After"),
                    body: body
                )
            )
        } else {
            promise.fail(ChannelError.eof)
        }
        context.close(promise: nil)
    }
}

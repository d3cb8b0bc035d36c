import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PortcullisClient

/// A server that does to each connection what a script says, and hangs up where the script ends.
enum ScriptedServer {
    /// Runs the server as long as the body and the scripts that it began.
    ///
    /// Connections come by a handler of its own: an async channel that nobody takes up, because the server closes in the very moment
    /// of its coming, ends the process.
    static func run<Result: Sendable>(
        tls: NIOSSLContext? = nil,
        _ script: @escaping @Sendable (Peer) async throws -> Void,
        _ body: (GateURL) async throws -> Result
    ) async throws -> Result {
        let (connections, source) = AsyncStream<(any Channel, AsyncStream<ByteBuffer>)>.makeStream()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Receiver { source.yield((channel, $0)) })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = server.localAddress?.port ?? 0
        let accepting = Task {
            await withDiscardingTaskGroup { group in
                for await (channel, inbound) in connections {
                    group.addTask {
                        // A script ends as it likes: what matters is what the client makes of it.
                        try? await script(Peer(inbound.makeAsyncIterator(), channel))
                        try? await channel.close()
                    }
                }
            }
        }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(GateURL("ws://127.0.0.1:\(port)/ws")))
        } catch {
            result = .failure(error)
        }
        // The scripts run to their end: what the client sent last is a part of them.
        try await server.close()
        source.finish()
        await accepting.value
        return try result.get()
    }

    /// Gives a connection and what comes on it to whoever plays its script.
    private final class Receiver: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let began: (AsyncStream<ByteBuffer>) -> Void
        private let source: AsyncStream<ByteBuffer>.Continuation
        private let stream: AsyncStream<ByteBuffer>

        init(_ began: @escaping (AsyncStream<ByteBuffer>) -> Void) {
            self.began = began
            (stream, source) = AsyncStream.makeStream()
        }

        func channelActive(context: ChannelHandlerContext) {
            began(stream)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            source.yield(unwrapInboundIn(data))
        }

        func channelInactive(context: ChannelHandlerContext) {
            source.finish()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

/// The server's end of one connection.
final class Peer {
    struct Gone: Error {}

    struct Frame: Equatable {
        var first: UInt8
        var isMasked: Bool
        var payload: [UInt8]
    }

    private var inbound: AsyncStream<ByteBuffer>.AsyncIterator
    private let outbound: any Channel
    private var buffer: [UInt8] = []

    init(
        _ inbound: AsyncStream<ByteBuffer>.AsyncIterator,
        _ outbound: any Channel
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    func write(_ bytes: [UInt8]) async throws {
        try await outbound.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    private func read(_ count: Int) async throws -> [UInt8] {
        while buffer.count < count {
            guard let part = await inbound.next() else { throw Gone() }
            buffer += part.readableBytesView
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer.prefix(count))
    }

    /// The head of the handshake, without its last line.
    func request() async throws -> String {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual([13, 10, 13, 10]) { head += try await read(1) }
        return String(decoding: head.dropLast(4), as: UTF8.self)
    }

    /// The 101 that belongs to a request.
    static func acceptance(of request: String, subprotocol: String? = "portcullis.v1") -> String {
        let key = request.split(separator: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key:") }
        let value = key.map { $0.dropFirst("sec-websocket-key:".count).trimmingCharacters(in: .whitespaces) } ?? ""
        let hash = SHA1.hash(Array((value + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        let chosen = subprotocol.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: \(Data(hash).base64EncodedString())\r\n\(chosen)\r\n"
    }

    @discardableResult
    func accept(subprotocol: String? = "portcullis.v1") async throws -> String {
        let request = try await request()
        try await write(Peer.acceptance(of: request, subprotocol: subprotocol))
        return request
    }

    /// The bytes of a frame; `first` holds FIN, the reserved bits and the opcode.
    static func frame(_ first: UInt8, _ payload: [UInt8], masked: Bool = false) -> [UInt8] {
        let mask: UInt8 = masked ? 0x80 : 0
        var bytes = [first]
        switch payload.count {
        case ..<126: bytes.append(mask | UInt8(payload.count))
        case ..<65536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [mask | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        // A key of zeros: the payload stays readable.
        if masked { bytes += [0, 0, 0, 0] }
        return bytes + payload
    }

    func send(_ first: UInt8, _ payload: [UInt8] = [], masked: Bool = false) async throws {
        try await write(Peer.frame(first, payload, masked: masked))
    }

    func send(_ text: String) async throws {
        try await send(0x81, Array(text.utf8))
    }

    func close(_ code: UInt16, _ reason: String = "") async throws {
        try await send(0x88, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8))
    }

    /// The next frame of the client, unmasked.
    func receive() async throws -> Frame {
        let head = try await read(2)
        var count = Int(head[1] & 0x7F)
        if count == 126 { count = try await read(2).reduce(0) { $0 << 8 | Int($1) } }
        if count == 127 { count = try await read(8).reduce(0) { $0 << 8 | Int($1) } }
        let isMasked = head[1] & 0x80 != 0
        let key = isMasked ? try await read(4) : [0, 0, 0, 0]
        let payload = try await read(count).enumerated().map { $1 ^ key[$0 % 4] }
        return Frame(first: head[0], isMasked: isMasked, payload: payload)
    }

    /// Waits until the client has hung up.
    func gone() async throws {
        while await inbound.next() != nil {}
    }
}

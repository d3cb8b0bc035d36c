import Foundation
public import PortcullisReactor
import PortcullisWire

/// A WebSocket client for tests: plain blocking socket, every frame as it came.
public final class WebSocketPeer {
    public enum Received: Equatable, Sendable {
        case text(String)
        case binary([UInt8])
        case ping
        case pong
        case close(UInt16?, String)
        /// The TCP stream has ended.
        case end
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// Milliseconds for every read and write: on a busy machine a gate may be a while in coming.
    private static let patience = 30_000

    private let socket: BlockingSocket
    private var bytes: [UInt8] = []
    private var at = 0
    private var state = FrameState()
    private let reader = FrameReader(.client, limits: MessageLimits(bytes: 64 << 20))
    /// The status line and headers of the answer to the handshake.
    public private(set) var head = ""
    public private(set) var body = ""
    public private(set) var status = 0

    /// Opens a connection and reads the answer to the handshake.
    /// - Parameters:
    ///   - headers: beside those that every handshake has.
    ///   - tls: how it is secured; nil: not at all.
    ///   - preamble: what comes in front of all, as a proxy's header does.
    public init(
        _ endpoint: Endpoint,
        path: String = "/ws",
        headers: [String] = [],
        behind: [UInt8] = [],
        securedBy tls: TLSClient? = nil,
        preamble: [UInt8] = []
    ) throws {
        socket = try BlockingSocket(endpoint, timeout: Self.patience, securedBy: tls, preamble: preamble)
        let lines =
            ["GET \(path) HTTP/1.1", "Host: \(endpoint)", "Connection: Upgrade", "Upgrade: websocket"]
            + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] + headers
        try socket.write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + behind)
        try readHead()
    }

    /// Sends any bytes as the request.
    public init(_ endpoint: Endpoint, raw: String) throws {
        socket = try BlockingSocket(endpoint, timeout: Self.patience)
        try socket.write(Array(raw.utf8))
        try readHead()
    }

    private func readHead() throws {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let split = bytes.firstRange(of: end) {
                head = String(decoding: bytes[..<split.lowerBound], as: UTF8.self)
                at = split.upperBound
                break
            }
            let more = try socket.read()
            guard !more.isEmpty else { throw Failure(description: "closed without an answer") }
            bytes += more
        }
        status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
        guard status != 101 else { return }
        while true {
            let more = try socket.read()
            if more.isEmpty { break }
            bytes += more
        }
        body = String(decoding: bytes[at...], as: UTF8.self)
    }

    /// The next frame, or the end.
    /// - Parameter milliseconds: how long it is waited for.
    public func receive(within milliseconds: Int? = nil) throws -> Received {
        while true {
            let chunk = bytes
            switch reader.next(chunk.span, &at, &state) {
            case .message(.text, let text): return .text(String(decoding: text, as: UTF8.self))
            case .message(.binary, let bytes): return .binary(bytes)
            case .ping: return .ping
            case .pong: return .pong
            case .close(let code, let reason): return .close(code, String(decoding: reason, as: UTF8.self))
            case .failed(let outcome): throw Failure(description: "the gate broke a rule: \(outcome)")
            case .needMore:
                bytes = try socket.read(extra: (milliseconds ?? Self.patience) - Self.patience)
                at = 0
                if bytes.isEmpty { return .end }
            }
        }
    }

    /// The next message whose `type` is this one, as JSON; others are passed over.
    public func receive(type: String) throws -> [String: Any] {
        while true {
            switch try receive() {
            case .text(let text):
                let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
                if json["type"] as? String == type { return json }
            case .close(let code, let reason): throw Failure(description: "closed: \(code ?? 0) \(reason)")
            case .end: throw Failure(description: "ended")
            default: break
            }
        }
    }

    /// The next message, as JSON.
    public func receiveMessage() throws -> [String: Any] {
        while true {
            switch try receive() {
            case .text(let text):
                return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
            case .ping, .pong: break
            case let other: throw Failure(description: "not a message but \(other)")
            }
        }
    }

    /// Frames up to the close frame, which is given; messages before it are passed over.
    public func receiveClose() throws -> Received {
        while true {
            let next = try receive()
            switch next {
            case .close: return next
            case .end: throw Failure(description: "the stream ended without a close frame")
            default: break
            }
        }
    }

    public func send(text: String) throws {
        var frame: [UInt8] = []
        FrameWriter.append(.text, Array(text.utf8).span, mask: 0x0102_0304, to: &frame)
        try socket.write(frame)
    }

    public func send(raw bytes: [UInt8]) throws {
        try socket.write(bytes)
    }

    /// When it is let go its connection is reset, not ended.
    public func resetAtClose() {
        socket.resetAtClose()
    }

    public func close(code: UInt16) throws {
        var frame: [UInt8] = []
        FrameWriter.appendClose(code: code, reason: [UInt8]().span, mask: 1, to: &frame)
        try socket.write(frame)
    }
}

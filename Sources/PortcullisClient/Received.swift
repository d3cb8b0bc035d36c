/// The content of a message as it came.
public enum Payload: Equatable, Sendable {
    case text(String)
    case binary([UInt8])

    var size: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.count
        }
    }
}

/// A message of the gate, and when it came.
public struct Received: Equatable, Sendable {
    public let message: ServerMessage
    public let payload: Payload
    /// When the last frame of it was read from the socket, before anything else was done with it.
    public let arrival: ContinuousClock.Instant

    init(_ payload: Payload, subprotocol: Subprotocol, arrival: ContinuousClock.Instant) {
        self.payload = payload
        self.arrival = arrival
        message =
            switch (payload, subprotocol) {
            case (.text(let text), .v1): ServerMessage(v1: text)
            case (.text(let text), .raw): .text(text)
            case (.binary(let bytes), _): .binary(bytes)
            }
    }
}

/// How client and gate speak.
public enum Subprotocol: String, Sendable {
    /// `portcullis.v1`: JSON messages with a type.
    case v1 = "portcullis.v1"
    /// No subprotocol: frames as they stand. Nothing is offered in the handshake, so that any WebSocket server will do.
    case raw

    /// What is offered in the handshake, and must be chosen. A credential among the offers needs another beside it, since it is never
    /// chosen itself.
    func offer(beside credential: GateCredential) -> [String] {
        switch self {
        case .v1: [rawValue]
        case .raw: credential.subprotocols.isEmpty ? [] : ["portcullis.raw"]
        }
    }
}

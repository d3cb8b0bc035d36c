/// A reply of Redis (RESP2).
public enum RESPValue: Equatable, Sendable {
    case null
    case status([UInt8])
    /// An error that Redis answered; it concerns the one command.
    case error(String)
    case integer(Int64)
    case bytes([UInt8])
    case array([RESPValue])

    public var bytes: [UInt8]? {
        switch self {
        case .bytes(let bytes), .status(let bytes): bytes
        default: nil
        }
    }

    public var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    public var array: [RESPValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    public var text: String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    public var errorText: String? {
        if case .error(let text) = self { text } else { nil }
    }
}

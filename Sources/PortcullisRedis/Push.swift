/// What comes on a subscription link.
public enum Push: Equatable, Sendable {
    case subscribed(channel: [UInt8])
    case unsubscribed(channel: [UInt8])
    case message(channel: [UInt8], payload: [UInt8])
    /// Keys that were changed, from `__redis__:invalidate`; nil: every key.
    case invalidated([[UInt8]]?)
    case pong

    /// nil where a value is none of these: the link is out of step and must be dropped.
    public init?(_ value: RESPValue) {
        if value == .status(Array("PONG".utf8)) {
            self = .pong
            return
        }
        guard let parts = value.array, let kind = parts.first?.text else { return nil }
        switch (kind, parts.count) {
        case ("pong", 2): self = .pong
        case ("subscribe", 3):
            guard let channel = parts[1].bytes else { return nil }
            self = .subscribed(channel: channel)
        case ("unsubscribe", 3): self = .unsubscribed(channel: parts[1].bytes ?? [])
        case ("message", 3):
            guard let channel = parts[1].bytes else { return nil }
            switch parts[2] {
            case .bytes(let payload): self = .message(channel: channel, payload: payload)
            case .array(let keys): self = .invalidated(keys.compactMap(\.bytes))
            case .null: self = .invalidated(nil)
            default: return nil
            }
        default: return nil
        }
    }
}

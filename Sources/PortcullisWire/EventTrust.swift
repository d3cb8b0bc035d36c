public import PortcullisCore

/// What an event's signature is held against, where events must be signed (`events.hmac_key_file`).
public struct EventTrust {
    /// Whether a signature is that of the canonical text of an event without its member `sig`.
    public let verifies: (_ text: [UInt8], _ signature: [UInt8]) -> Bool
    /// When an event may say that it was made; nil: at any time, as with a decision that outlives the log.
    public let times: ClosedRange<WallTime>?

    public init(times: ClosedRange<WallTime>?, verifies: @escaping ([UInt8], [UInt8]) -> Bool) {
        self.times = times
        self.verifies = verifies
    }
}

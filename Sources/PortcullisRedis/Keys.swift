public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// The names of all keys and channels under one prefix (redis.md).
public struct Keys: Equatable, Sendable {
    public let prefix: String

    /// - Parameter prefix: `redis.prefix`.
    public init(prefix: String = "portcullis:") {
        self.prefix = prefix
    }

    public var log: String { prefix + "log" }
    public var events: String { prefix + "events" }
    public var order: String { prefix + "order" }
    public var standing: String { prefix + "standing" }
    public var epoch: String { prefix + "epoch" }
    public var nodes: String { prefix + "nodes" }

    public func node(_ name: String) -> String { prefix + "node:" + name }
    public func control(_ node: String) -> String { prefix + "ctl:" + node }
    public func probe(_ node: String) -> String { prefix + "probe:" + node }

    /// The key of a ticket, which is not in it: whoever reads the names of the keys cannot use it. nil where it cannot be hashed.
    public func ticket(_ ticket: Identifier) -> [UInt8]? {
        guard let digest = try? SHA256.digest(ticket.bytes.span) else { return nil }
        return Array((prefix + "ticket:").utf8) + Hexadecimal.encode(digest.span)
    }

    public func reply(_ query: Identifier) -> [UInt8] { Array((prefix + "reply:").utf8) + query.bytes }
    public func seen(_ event: Identifier) -> [UInt8] { Array((prefix + "seen:").utf8) + event.bytes }
    public func acknowledgements(_ event: Identifier) -> [UInt8] { Array((prefix + "ack:").utf8) + event.bytes }
    public func permissions(of user: Identifier) -> [UInt8] { Array((prefix + "perm:").utf8) + user.bytes }
}

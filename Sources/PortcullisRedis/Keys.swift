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

    /// What the channels of all rooms begin with.
    public var rooms: String { prefix + "room:" }

    /// The channel of a resource.
    public func room(_ resource: Identifier) -> [UInt8] { Array(rooms.utf8) + resource.bytes }

    /// Who is in a room: connections with their users.
    public func members(_ resource: Identifier) -> [UInt8] { Array((prefix + "members:").utf8) + resource.bytes }
    /// How many connections each user has in a room.
    public func present(_ resource: Identifier) -> [UInt8] { Array((prefix + "present:").utf8) + resource.bytes }
    /// How many connections each gate has in a room.
    public func hosts(_ resource: Identifier) -> [UInt8] { Array((prefix + "hosts:").utf8) + resource.bytes }

    public func node(_ name: String) -> String { prefix + "node:" + name }
    public func control(_ node: String) -> String { prefix + "ctl:" + node }
    public var instancePrefix: String { prefix + "inst:" }
    /// The lease of a gate's run.
    public func instance(_ number: UInt32) -> String { instancePrefix + String(number, radix: 16) }
    public func probe(_ node: String) -> String { prefix + "probe:" + node }

    /// The key of a ticket, which is not in it: whoever reads the names of the keys cannot use it.
    public func ticket(_ ticket: Identifier) -> [UInt8] {
        hashed("ticket:", ticket.bytes)
    }

    /// When a session that does not say when it was made was seen first.
    public func first(_ session: Identifier) -> [UInt8] { hashed("first:", session.bytes) }

    /// How long a key that slides has lived at the longest from one use to the next.
    public func life(_ key: [UInt8]) -> [UInt8] { hashed("life:", key) }

    private func hashed(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
        let digest = SHA256.digest(bytes.span)
        return Array((prefix + name).utf8) + Hexadecimal.encode(digest.span)
    }

    public func reply(_ query: Identifier) -> [UInt8] { Array((prefix + "reply:").utf8) + query.bytes }
    public func seen(_ event: Identifier) -> [UInt8] { Array((prefix + "seen:").utf8) + event.bytes }
    public func acknowledgements(_ event: Identifier) -> [UInt8] { Array((prefix + "ack:").utf8) + event.bytes }
    public func connections(of user: Identifier) -> [UInt8] { Array((prefix + "user:").utf8) + user.bytes }
    public func permissions(of user: Identifier) -> [UInt8] { Array((prefix + "perm:").utf8) + user.bytes }
}

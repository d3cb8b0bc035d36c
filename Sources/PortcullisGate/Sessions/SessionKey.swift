public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// The template of the key of a session (`sessions.key`): a text with `{id}`, or with `{sha256}` where keys must not tell the ids.
public struct SessionKey: Equatable, Sendable {
    private let before: [UInt8]
    private let after: [UInt8]
    /// Whether the key holds the SHA-256 of the id in hexadecimal, from which nobody finds back.
    public let isHashed: Bool

    /// The id itself.
    public static let plain = SessionKey(before: [], after: [], isHashed: false)

    private init(before: [UInt8], after: [UInt8], isHashed: Bool) {
        self.before = before
        self.after = after
        self.isHashed = isHashed
    }

    /// nil where the text has not exactly one `{id}` or `{sha256}`.
    public init?(_ template: String) {
        let bytes = Array(template.utf8)
        var found: [SessionKey] = []
        for (mark, isHashed) in [("{id}", false), ("{sha256}", true)] {
            for place in bytes.indices where bytes[place...].starts(with: mark.utf8) {
                let after = Array(bytes[(place + mark.utf8.count)...])
                found.append(SessionKey(before: Array(bytes[..<place]), after: after, isHashed: isHashed))
            }
        }
        guard found.count == 1, let key = found.first else { return nil }
        self = key
    }

    /// The key of an id.
    public func key(_ id: Identifier) -> [UInt8] {
        guard isHashed else { return before + id.bytes + after }
        let digest = SHA256.digest(id.bytes.span)
        return before + Hexadecimal.encode(digest.span) + after
    }

    /// The same in its parts, which copies nothing where the key holds the id itself.
    func parts(_ id: Identifier) -> (before: [UInt8], id: [UInt8], after: [UInt8]) {
        isHashed ? ([], key(id), []) : (before, id.bytes, after)
    }

    /// The id in a key; nil where the key is none of a session, or holds a hash.
    public func id(_ key: [UInt8]) -> Identifier? {
        guard !isHashed, key.count > before.count + after.count, key.starts(with: before),
            key.suffix(after.count).elementsEqual(after)
        else { return nil }
        return Identifier(bytes: Array(key[before.count..<key.count - after.count]))
    }
}

/// Whose keys are under watch, where a key does not tell it.
///
/// An invalidation may come before the answer to the read that it is about, so a key is noted when it is asked for. That makes room for
/// the ids of strangers too: when the room is full everything is forgotten, and the caller reads the sessions that it holds again, which
/// notes them again.
struct SessionKeyBook {
    private var ids: [[UInt8]: Identifier] = [:]
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    subscript(key: [UInt8]) -> Identifier? {
        ids[key]
    }

    /// - Returns: false where all others had to be forgotten.
    mutating func note(_ key: [UInt8], _ id: Identifier) -> Bool {
        let hasRoom = ids.count < capacity || ids[key] != nil
        if !hasRoom { ids.removeAll(keepingCapacity: true) }
        ids[key] = id
        return hasRoom
    }
}

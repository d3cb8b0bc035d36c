public import PortcullisCore

/// A revocation or a block against one id, as nearly all decisions are, read without an object for each of its parts: a million of them are
/// read at a gate's start.
///
/// It knows one way to write such an event, and says nothing of any other: what it does not take, ``EventReader`` judges. What it takes, that
/// one reads the same.
public struct PlainEvent: Equatable, Sendable {
    public enum Cover: Equatable, Sendable {
        /// Credentials that were issued up to the append.
        case append
        case all
        case upTo(WallTime)
    }

    public let isBlock: Bool
    public let field: Identity.Field
    /// Where the id stands in the bytes.
    public let id: Range<Int>
    /// Where the event's own id stands.
    public let event: Range<Int>?
    public let covers: Cover
    /// When it ends, where it says so itself.
    public let ends: WallTime?
    public let reason: Range<Int>?
    public let actor: Range<Int>?

    /// Reads the event that fills a range of the bytes; nil where it is written in another way, or is another.
    public init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard range.count <= EventCodec.maximumBytes, range.lowerBound >= 0, range.upperBound <= bytes.count else {
            return nil
        }
        var cursor = Cursor(at: range.lowerBound, end: range.upperBound)
        guard let members = Members(bytes, &cursor), cursor.at == cursor.end, let isBlock = members.isBlock,
            members.hasVersion, let (field, id) = members.select
        else { return nil }
        // What it could not hold against the type before it knew it.
        if isBlock {
            guard members.issuedBefore == nil, members.expires == nil, [.user, .tenant, .device].contains(field) else {
                return nil
            }
        } else if members.until != nil {
            return nil
        }
        self.isBlock = isBlock
        self.field = field
        self.id = id
        event = members.event
        covers =
            isBlock
            ? .all : members.issuedBefore ?? (field == .user || field == .tenant || field == .device ? .append : .all)
        ends = isBlock ? members.until : members.expires
        reason = members.reason
        actor = members.actor
    }

    /// Reads `{"o":…,"event":…}`, as it stands in `P:standing`.
    public static func standing(_ bytes: Span<UInt8>, _ range: Range<Int>) -> (order: Int64, event: PlainEvent)? {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
        var cursor = Cursor(at: range.lowerBound, end: range.upperBound)
        guard cursor.take(#"{"o":"#, bytes), let order = cursor.integer(bytes), cursor.take(#","event":"#, bytes),
            range.upperBound > cursor.at, bytes[range.upperBound - 1] == UInt8(ascii: "}"),
            let event = PlainEvent(bytes, cursor.at..<range.upperBound - 1)
        else { return nil }
        return (order, event)
    }

    /// Whether bytes can stand for an id here: printable ASCII, 1 to 255 of it.
    public static func isPlainID(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard (1...255).contains(range.count), range.upperBound <= bytes.count else { return false }
        for at in range where !(0x20...0x7E).contains(bytes[at]) { return false }
        return true
    }

    /// A whole number that is not negative and has at most 18 digits.
    public static func integer(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int64? {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
        var cursor = Cursor(at: range.lowerBound, end: range.upperBound)
        guard let value = cursor.integer(bytes), cursor.at == cursor.end else { return nil }
        return value
    }
}

extension PlainEvent {
    private struct Members {
        var hasVersion = false
        var isBlock: Bool?
        var event: Range<Int>?
        var select: (Identity.Field, Range<Int>)?
        var issuedBefore: Cover?
        var expires: WallTime?
        var until: WallTime?
        var reason: Range<Int>?
        var actor: Range<Int>?

        init?(_ bytes: Span<UInt8>, _ cursor: inout Cursor) {
            var seen: UInt16 = 0
            guard cursor.skip(UInt8(ascii: "{"), bytes) else { return nil }
            repeat {
                guard let name = cursor.string(bytes), cursor.skip(UInt8(ascii: ":"), bytes),
                    let number = Self.number(of: name, bytes), seen & 1 << number == 0
                else { return nil }
                seen |= 1 << number
                guard take(number, bytes, &cursor) else { return nil }
            } while cursor.skip(UInt8(ascii: ","), bytes)
            guard cursor.skip(UInt8(ascii: "}"), bytes) else { return nil }
        }

        private static func number(of name: Range<Int>, _ bytes: Span<UInt8>) -> Int? {
            let names: [StaticString] = [
                "v", "event", "type", "select", "at_ms", "reason", "actor", "message", "ack", "issued_before_ms",
                "expires_at_ms", "until_ms",
            ]
            return names.firstIndex { $0.equals(bytes, name) }
        }

        /// One value, by the number of its name.
        private mutating func take(_ number: Int, _ bytes: Span<UInt8>, _ cursor: inout Cursor) -> Bool {
            cursor.skipSpace(bytes)
            switch number {
            case 0:
                hasVersion = cursor.integer(bytes) == 1
                return hasVersion
            case 1:
                event = cursor.id(bytes)
                return event != nil
            case 2:
                guard let type = cursor.string(bytes) else { return false }
                if ("revoke" as StaticString).equals(bytes, type) {
                    isBlock = false
                } else if ("block" as StaticString).equals(bytes, type) {
                    isBlock = true
                }
                return isBlock != nil
            case 3:
                select = Self.select(bytes, &cursor)
                return select != nil
            case 4: return cursor.integer(bytes) != nil
            case 5:
                reason = cursor.string(bytes)
                return reason != nil
            case 6:
                actor = cursor.string(bytes)
                return actor != nil
            case 7: return cursor.string(bytes) != nil
            case 8: return cursor.take("true", bytes) || cursor.take("false", bytes)
            case 9:
                if let time = cursor.integer(bytes) {
                    issuedBefore = .upTo(WallTime(milliseconds: time))
                } else if cursor.take(#""never""#, bytes) {
                    issuedBefore = .all
                }
                return issuedBefore != nil
            case 10:
                expires = cursor.integer(bytes).map(WallTime.init(milliseconds:))
                return expires != nil
            case 11:
                until = cursor.integer(bytes).map(WallTime.init(milliseconds:))
                return until != nil
            default: return false
            }
        }

        /// An object with one id in it.
        private static func select(_ bytes: Span<UInt8>, _ cursor: inout Cursor) -> (Identity.Field, Range<Int>)? {
            guard cursor.skip(UInt8(ascii: "{"), bytes), let name = cursor.string(bytes),
                cursor.skip(UInt8(ascii: ":"), bytes), let id = cursor.id(bytes), cursor.skip(UInt8(ascii: "}"), bytes)
            else { return nil }
            let fields: [(StaticString, Identity.Field)] = [
                ("user", .user), ("token", .token), ("session", .session), ("device", .device), ("tenant", .tenant),
            ]
            return fields.first { $0.0.equals(bytes, name) }.map { ($0.1, id) }
        }
    }

    /// A place in the bytes, moved on by what is read. Nothing behind `end` is looked at.
    private struct Cursor {
        var at: Int
        let end: Int

        mutating func skipSpace(_ bytes: Span<UInt8>) {
            while at < end, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
        }

        /// Passes by a sign, and by the space around it.
        mutating func skip(_ sign: UInt8, _ bytes: Span<UInt8>) -> Bool {
            skipSpace(bytes)
            guard at < end, bytes[at] == sign else { return false }
            at += 1
            skipSpace(bytes)
            return true
        }

        mutating func take(_ word: StaticString, _ bytes: Span<UInt8>) -> Bool {
            guard end - at >= word.utf8CodeUnitCount, word.equals(bytes, at..<at + word.utf8CodeUnitCount) else {
                return false
            }
            at += word.utf8CodeUnitCount
            return true
        }

        /// A string of printable ASCII without escapes: where it stands, quotes left out.
        mutating func string(_ bytes: Span<UInt8>) -> Range<Int>? {
            guard at < end, bytes[at] == UInt8(ascii: "\"") else { return nil }
            let start = at + 1
            var next = start
            while next < end {
                let byte = bytes[next]
                if byte == UInt8(ascii: "\"") {
                    at = next + 1
                    return start..<next
                }
                guard byte >= 0x20, byte <= 0x7E, byte != UInt8(ascii: "\\") else { return nil }
                next += 1
            }
            return nil
        }

        mutating func id(_ bytes: Span<UInt8>) -> Range<Int>? {
            guard let text = string(bytes), (1...255).contains(text.count) else { return nil }
            return text
        }

        mutating func integer(_ bytes: Span<UInt8>) -> Int64? {
            var value: Int64 = 0
            let start = at
            while at < end, at - start < 19, (0x30...0x39).contains(bytes[at]) {
                value = value &* 10 &+ Int64(bytes[at] &- 0x30)
                at += 1
            }
            guard (1...18).contains(at - start), at - start == 1 || bytes[start] != 0x30 else { return nil }
            // Not a fraction, nor an exponent.
            if at < end, [0x2E, 0x65, 0x45, 0x2B, 0x2D].contains(bytes[at]) { return nil }
            return value
        }
    }
}

extension StaticString {
    /// Whether its bytes stand in a range.
    fileprivate func equals(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.count == utf8CodeUnitCount else { return false }
        // Safe: a literal's bytes stand for ever, and as many are looked at as it has.
        let own = UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
        for at in own.indices where bytes[range.lowerBound + at] != own[at] { return false }
        return true
    }
}

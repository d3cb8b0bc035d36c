/// A whole reply as it came, without an object for each of its parts: their bytes one behind the other, and a list of what they are, a list's
/// elements behind the list.
public struct RESPReply: Sendable {
    enum Kind: UInt8 {
        case null
        case status
        case error
        case integer
        case bytes
        case array
    }

    struct Part {
        var kind: Kind
        /// Of an integer, its value; of a list, how many elements.
        var number: Int64 = 0
        /// Of what has bytes, where they stand.
        var start: UInt32 = 0
        var count: UInt32 = 0
    }

    /// The bytes of all parts.
    public private(set) var bytes: [UInt8] = []
    private(set) var parts: [Part] = []

    init() {}

    // MARK: - Making

    mutating func append(_ kind: Kind, _ content: UnsafeRawBufferPointer) {
        let start = UInt32(clamping: bytes.count)
        bytes.append(contentsOf: content)
        parts.append(Part(kind: kind, start: start, count: UInt32(clamping: content.count)))
    }

    mutating func append(_ kind: Kind, number: Int64 = 0) {
        parts.append(Part(kind: kind, number: number))
    }

    /// Makes room for the next. A page is followed by another as a rule, and a small reply by small ones: only what is between them is given
    /// back, so that no link holds a megabyte for an answer of some bytes.
    mutating func clear() {
        let isPage = parts.count > 256
        bytes.removeAll(keepingCapacity: isPage || bytes.capacity <= 1 << 16)
        parts.removeAll(keepingCapacity: isPage || parts.capacity <= 1 << 10)
    }

    // MARK: - Reading

    /// How many elements the list at a place has; nil where there is none. The first stands right behind it.
    public func list(at place: Int) -> Int? {
        guard parts.indices.contains(place), parts[place].kind == .array else { return nil }
        return Int(parts[place].number)
    }

    /// Where the bytes of the string at a place stand; nil where there is none.
    public func string(at place: Int) -> Range<Int>? {
        guard parts.indices.contains(place), parts[place].kind == .bytes || parts[place].kind == .status else {
            return nil
        }
        let start = Int(parts[place].start)
        return start..<start + Int(parts[place].count)
    }

    /// The place behind what stands at a place, elements included.
    public func end(of place: Int) -> Int {
        var (at, left) = (place, 1)
        while left > 0, at < parts.count {
            left -= 1
            if parts[at].kind == .array { left += Int(parts[at].number) }
            at += 1
        }
        return at
    }

    /// A number that stands at a place; nil where there is none.
    public func integer(at place: Int) -> Int64? {
        guard parts.indices.contains(place), parts[place].kind == .integer else { return nil }
        return parts[place].number
    }

    /// Whether Redis said that there is nothing.
    public func isNull(at place: Int) -> Bool {
        parts.indices.contains(place) && parts[place].kind == .null
    }

    /// What Redis answered in error; nil where it did not.
    public var errorText: String? {
        guard let first = parts.first, first.kind == .error else { return nil }
        return String(decoding: content(first), as: UTF8.self)
    }

    private func content(_ part: Part) -> ArraySlice<UInt8> {
        bytes[Int(part.start)..<Int(part.start) + Int(part.count)]
    }

    /// The same as a tree.
    public var value: RESPValue {
        var at = 0
        return value(&at)
    }

    /// The recursion is as deep as hiredis' own stack: nine.
    private func value(_ at: inout Int) -> RESPValue {
        guard at < parts.count else { return .null }
        let part = parts[at]
        at += 1
        switch part.kind {
        case .null: return .null
        case .status: return .status(Array(content(part)))
        case .error: return .error(String(decoding: content(part), as: UTF8.self))
        case .integer: return .integer(part.number)
        case .bytes: return .bytes(Array(content(part)))
        case .array:
            var elements: [RESPValue] = []
            elements.reserveCapacity(Int(part.number))
            for _ in 0..<part.number { elements.append(value(&at)) }
            return .array(elements)
        }
    }
}

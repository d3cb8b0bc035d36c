public import PortcullisCore

/// Why bytes are not strict JSON.
public enum JSONError: Error, Equatable, Sendable {
    /// Not the grammar of RFC 8259; the offset of the first byte that does not fit.
    case malformed(at: Int)
    /// Not UTF-8, or an escape that names half a surrogate pair.
    case notUnicode(at: Int)
    case tooDeep
    case duplicateMember(at: Int)
    case trailingData(at: Int)
    case tooLarge
}

/// A parser of JSON texts (RFC 8259) for input nobody vouches for: UTF-8 throughout, nothing behind the value, no member twice in an
/// object (after unescaping), no lone surrogates, bounded depth.
///
/// It makes no tree: it checks the whole text and leaves one ``Node`` for every value, in the order of the text, that points into
/// the bytes. A parser that is kept and used again allocates nothing.
public struct StrictJSON: Sendable {
    public enum Kind: UInt8, Sendable {
        case null
        case bool
        case number
        case string
        case array
        case object
    }

    /// One value (or the name of a member, which is a string that stands before its value).
    public struct Node: Equatable, Sendable {
        public let kind: Kind
        /// Whether a string holds escapes, so that its bytes are not its value.
        public let escaped: Bool
        /// Where the value stands; of a string, what is between the quotes.
        public let start: Int32
        public fileprivate(set) var end: Int32
        /// The index of the first node behind this one and all within it.
        public fileprivate(set) var next: Int32
    }

    public private(set) var nodes: [Node] = []
    private let maximumDepth: Int
    private let maximumBytes: Int
    /// Objects up to this size are searched for duplicates pair by pair, larger ones with a set, so that no input costs the square.
    private static let pairwiseMembers = 24

    /// - Parameters:
    ///   - maximumDepth: how many arrays and objects may stand in one another.
    ///   - maximumBytes: longer texts are refused unread.
    public init(maximumDepth: Int = 16, maximumBytes: Int = 1 << 24) {
        self.maximumDepth = maximumDepth
        self.maximumBytes = min(maximumBytes, Int(Int32.max) - 1)
    }

    /// Checks the text and leaves its nodes; the first is the whole value. After an error there are no nodes.
    public mutating func parse(_ bytes: Span<UInt8>) throws(JSONError) {
        nodes.removeAll(keepingCapacity: true)
        guard bytes.count <= maximumBytes else { throw .tooLarge }
        do throws(JSONError) {
            let at = Self.skipSpace(bytes, try value(bytes, Self.skipSpace(bytes, 0), depth: 0))
            if at < bytes.count { throw .trailingData(at: at) }
        } catch {
            nodes.removeAll(keepingCapacity: true)
            throw error
        }
    }

    // MARK: - Grammar

    /// Static, and that matters: a method's `self` is copied before its arguments are evaluated, so that `nodes` would be copied for
    /// each value that is parsed in an argument.
    private static func skipSpace(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        var at = start
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0A, 0x0D: at += 1
            default: return at
            }
        }
        return at
    }

    private mutating func value(_ bytes: Span<UInt8>, _ at: Int, depth: Int) throws(JSONError) -> Int {
        guard at < bytes.count else { throw .malformed(at: at) }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try object(bytes, at, depth: depth)
        case UInt8(ascii: "["): return try array(bytes, at, depth: depth)
        case UInt8(ascii: "\""): return try string(bytes, at)
        case UInt8(ascii: "t"): return try literal(bytes, at, "true", .bool)
        case UInt8(ascii: "f"): return try literal(bytes, at, "false", .bool)
        case UInt8(ascii: "n"): return try literal(bytes, at, "null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(bytes, at)
        default: throw .malformed(at: at)
        }
    }

    private mutating func append(_ kind: Kind, escaped: Bool = false, _ start: Int, _ end: Int) {
        nodes.append(
            Node(kind: kind, escaped: escaped, start: Int32(start), end: Int32(end), next: Int32(nodes.count + 1))
        )
    }

    private mutating func literal(
        _ bytes: Span<UInt8>,
        _ start: Int,
        _ word: StaticString,
        _ kind: Kind
    ) throws(JSONError) -> Int {
        let end = start + word.utf8CodeUnitCount
        guard end <= bytes.count else { throw .malformed(at: start) }
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        let same = word.withUTF8Buffer { letters in
            for at in 0..<letters.count where letters[at] != bytes[start + at] { return false }
            return true
        }
        guard same else { throw .malformed(at: start) }
        append(kind, start, end)
        return end
    }

    private mutating func number(_ bytes: Span<UInt8>, _ start: Int) throws(JSONError) -> Int {
        var at = start
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: "0") { at += 1 } else { at = try Self.digits(bytes, at) }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at = try Self.digits(bytes, at + 1)
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            at = try Self.digits(bytes, at)
        }
        append(.number, start, at)
        return at
    }

    /// The place behind one digit or more.
    private static func digits(_ bytes: Span<UInt8>, _ first: Int) throws(JSONError) -> Int {
        var at = first
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
        if at == first { throw .malformed(at: at) }
        return at
    }

    private mutating func array(_ bytes: Span<UInt8>, _ start: Int, depth: Int) throws(JSONError) -> Int {
        guard depth < maximumDepth else { throw .tooDeep }
        let index = nodes.count
        append(.array, start, start)
        var at = Self.skipSpace(bytes, start + 1)
        if at < bytes.count, bytes[at] == UInt8(ascii: "]") { return close(index, at + 1) }
        while true {
            at = Self.skipSpace(bytes, try value(bytes, at, depth: depth + 1))
            guard at < bytes.count else { throw .malformed(at: at) }
            if bytes[at] == UInt8(ascii: "]") { return close(index, at + 1) }
            guard bytes[at] == UInt8(ascii: ",") else { throw .malformed(at: at) }
            at = Self.skipSpace(bytes, at + 1)
        }
    }

    private mutating func object(_ bytes: Span<UInt8>, _ start: Int, depth: Int) throws(JSONError) -> Int {
        guard depth < maximumDepth else { throw .tooDeep }
        let index = nodes.count
        append(.object, start, start)
        var at = Self.skipSpace(bytes, start + 1)
        if at < bytes.count, bytes[at] == UInt8(ascii: "}") { return close(index, at + 1) }
        while true {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw .malformed(at: at) }
            at = Self.skipSpace(bytes, try string(bytes, at))
            guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw .malformed(at: at) }
            at = Self.skipSpace(bytes, try value(bytes, Self.skipSpace(bytes, at + 1), depth: depth + 1))
            guard at < bytes.count else { throw .malformed(at: at) }
            if bytes[at] == UInt8(ascii: "}") {
                let end = close(index, at + 1)
                try refuseDuplicates(bytes, index)
                return end
            }
            guard bytes[at] == UInt8(ascii: ",") else { throw .malformed(at: at) }
            at = Self.skipSpace(bytes, at + 1)
        }
    }

    private mutating func close(_ index: Int, _ end: Int) -> Int {
        nodes[index].end = Int32(end)
        nodes[index].next = Int32(nodes.count)
        return end
    }

    private mutating func string(_ bytes: Span<UInt8>, _ quote: Int) throws(JSONError) -> Int {
        var at = quote + 1
        var escaped = false
        while true {
            at = bytes.endOfPlainText(from: at)
            guard at < bytes.count else { throw .malformed(at: at) }
            switch bytes[at] {
            case UInt8(ascii: "\""):
                append(.string, escaped: escaped, quote + 1, at)
                return at + 1
            case UInt8(ascii: "\\"):
                escaped = true
                at = try escape(bytes, at)
            case ..<0x20: throw .malformed(at: at)
            default:
                guard let length = UTF8Check.sequenceLength(bytes, at) else { throw .notUnicode(at: at) }
                at += length
            }
        }
    }

    private func escape(_ bytes: Span<UInt8>, _ start: Int) throws(JSONError) -> Int {
        guard start + 1 < bytes.count else { throw .malformed(at: start) }
        switch bytes[start + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return start + 2
        case UInt8(ascii: "u"):
            guard let unit = Self.hexadecimal(bytes, start + 2) else { throw .malformed(at: start) }
            guard (0xD800...0xDFFF).contains(unit) else { return start + 6 }
            guard unit < 0xDC00, start + 7 < bytes.count, bytes[start + 6] == UInt8(ascii: "\\"),
                bytes[start + 7] == UInt8(ascii: "u"), let low = Self.hexadecimal(bytes, start + 8),
                (0xDC00...0xDFFF).contains(low)
            else { throw .notUnicode(at: start) }
            return start + 12
        default: throw .malformed(at: start)
        }
    }

    static func hexadecimal(_ bytes: Span<UInt8>, _ start: Int) -> UInt32? {
        guard start + 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for at in start..<start + 4 {
            guard let digit = Hexadecimal.value(of: bytes[at]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private func refuseDuplicates(_ bytes: Span<UInt8>, _ object: Int) throws(JSONError) {
        let first = object + 1
        let end = Int(nodes[object].next)
        var name = first
        var count = 0
        while name < end, count < Self.pairwiseMembers {
            var other = first
            while other < name {
                guard !sameText(bytes, nodes[name], nodes[other]) else {
                    throw .duplicateMember(at: Int(nodes[name].start))
                }
                other = Int(nodes[other + 1].next)
            }
            name = Int(nodes[name + 1].next)
            count += 1
        }
        guard name < end else { return }
        var seen = Set<[UInt8]>()
        name = first
        while name < end {
            guard seen.insert(text(of: name, in: bytes)).inserted else {
                throw .duplicateMember(at: Int(nodes[name].start))
            }
            name = Int(nodes[name + 1].next)
        }
    }

    private func sameText(_ bytes: Span<UInt8>, _ left: Node, _ right: Node) -> Bool {
        if left.escaped || right.escaped { return Self.sameValue(bytes, left, right) }
        guard left.end - left.start == right.end - right.start else { return false }
        let distance = Int(right.start) - Int(left.start)
        for at in Int(left.start)..<Int(left.end) where bytes[at] != bytes[at + distance] { return false }
        return true
    }

    // MARK: - Reading what was parsed. `bytes` is always the text that was parsed.

    /// The value of the member of that name, by its unescaped bytes; nil where there is none or the node is no object.
    public func member(_ name: StaticString, of object: Int = 0, in bytes: Span<UInt8>) -> Int? {
        for (nameIndex, value) in members(of: object) where equals(nameIndex, name, in: bytes) { return value }
        return nil
    }

    /// The nodes of the names and values of an object's members, in order; empty where the node is no object.
    public func members(of object: Int = 0) -> Members {
        guard nodes.indices.contains(object), nodes[object].kind == .object else {
            return Members(nodes: nodes, at: 0, end: 0)
        }
        return Members(nodes: nodes, at: object + 1, end: Int(nodes[object].next))
    }

    /// The nodes of an array's elements, in order; empty where the node is no array.
    public func elements(of array: Int) -> Elements {
        guard nodes.indices.contains(array), nodes[array].kind == .array else {
            return Elements(nodes: nodes, at: 0, end: 0)
        }
        return Elements(nodes: nodes, at: array + 1, end: Int(nodes[array].next))
    }

    public func kind(of node: Int) -> Kind {
        nodes.indices.contains(node) ? nodes[node].kind : .null
    }

    /// Whether a string node's value is exactly these letters.
    public func equals(_ node: Int, _ text: StaticString, in bytes: Span<UInt8>) -> Bool {
        guard nodes.indices.contains(node), nodes[node].kind == .string else { return false }
        let range = Int(nodes[node].start)..<Int(nodes[node].end)
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        return text.withUTF8Buffer { letters in
            if nodes[node].escaped { return Self.sameValue(bytes, nodes[node], letters) }
            guard letters.count == range.count else { return false }
            for at in 0..<letters.count where letters[at] != bytes[range.lowerBound + at] { return false }
            return true
        }
    }

    /// A string's value, unescaped; nil where the node is no string.
    public func string(_ node: Int, in bytes: Span<UInt8>) -> Identifier? {
        guard nodes.indices.contains(node), nodes[node].kind == .string else { return nil }
        return Identifier(bytes: text(of: node, in: bytes))
    }

    public func bool(_ node: Int, in bytes: Span<UInt8>) -> Bool? {
        guard nodes.indices.contains(node), nodes[node].kind == .bool else { return nil }
        return bytes[Int(nodes[node].start)] == UInt8(ascii: "t")
    }

    /// A number's value; nil where the node is no number or the number is not finite as a double.
    public func number(_ node: Int, in bytes: Span<UInt8>) -> Double? {
        guard nodes.indices.contains(node), nodes[node].kind == .number else { return nil }
        if let integer = integer(node, in: bytes) { return Double(integer) }
        if let decimal = decimal(node, in: bytes) { return decimal }
        let range = Int(nodes[node].start)..<Int(nodes[node].end)
        // Straight into a string: up to 15 bytes stand in the string itself.
        let text = String(unsafeUninitializedCapacity: range.count) { buffer in
            // Safe: the buffer has room for at least the capacity, and what is counted has been written.
            for at in range { buffer[at - range.lowerBound] = bytes[at] }
            return range.count
        }
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// A decimal fraction with so few digits that the quotient of its digits and a power of ten, both exact as doubles, is its value
    /// correctly rounded: what times are written as.
    private func decimal(_ node: Int, in bytes: Span<UInt8>) -> Double? {
        let range = Int(nodes[node].start)..<Int(nodes[node].end)
        guard range.count <= 17 else { return nil }
        var digits: Int64 = 0
        var scale: Int64?
        for at in range {
            switch bytes[at] {
            case 0x30...0x39:
                digits = digits * 10 + Int64(bytes[at] - 0x30)
                if let known = scale { scale = known * 10 }
            case UInt8(ascii: "."): scale = 1
            default: return nil
            }
        }
        guard let scale, digits < 1 << 53, scale < 1 << 53 else { return nil }
        return Double(digits) / Double(scale)
    }

    /// A number's value where it is written as an integer (no fraction, no exponent) and fits.
    public func integer(_ node: Int, in bytes: Span<UInt8>) -> Int64? {
        guard nodes.indices.contains(node), nodes[node].kind == .number else { return nil }
        var at = Int(nodes[node].start)
        let end = Int(nodes[node].end)
        let negative = bytes[at] == UInt8(ascii: "-")
        if negative { at += 1 }
        guard end - at <= 18 else { return nil }
        var value: Int64 = 0
        while at < end {
            guard (0x30...0x39).contains(bytes[at]) else { return nil }
            value = value * 10 + Int64(bytes[at] - 0x30)
            at += 1
        }
        return negative ? -value : value
    }

    /// The value as it stands in the text; a string without its quotes.
    public func raw(_ node: Int, in bytes: Span<UInt8>) -> [UInt8] {
        guard nodes.indices.contains(node) else { return [] }
        let range = Int(nodes[node].start)..<Int(nodes[node].end)
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for at in range { copy.append(bytes[at]) }
        return copy
    }

    /// The value as it stands in the text, a string with its quotes: JSON that can be put into another text.
    public func json(_ node: Int, in bytes: Span<UInt8>) -> [UInt8] {
        let quote = UInt8(ascii: "\"")
        return kind(of: node) == .string ? [quote] + raw(node, in: bytes) + [quote] : raw(node, in: bytes)
    }

    private func text(of node: Int, in bytes: Span<UInt8>) -> [UInt8] {
        nodes[node].escaped ? Self.unescape(bytes, nodes[node]) : raw(node, in: bytes)
    }

    /// The text has been checked: every escape is whole.
    private static func unescape(_ bytes: Span<UInt8>, _ node: Node) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(Int(node.end - node.start))
        var at = Int(node.start)
        while at < Int(node.end) {
            guard bytes[at] == UInt8(ascii: "\\") else {
                text.append(bytes[at])
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = hexadecimal(bytes, at + 2) ?? 0xFFFD
                if (0xD800..<0xDC00).contains(scalar) {
                    let low = hexadecimal(bytes, at + 8) ?? 0xDC00
                    scalar = 0x10000 + (scalar - 0xD800) << 10 + (low & 0x3FF)
                    at += 6
                }
                text.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
                at += 4
            default: text.append(bytes[at + 1])
            }
            at += 2
        }
        return text
    }
}

extension StrictJSON {
    /// The members of an object: pairs of a name's node and a value's node.
    public struct Members: Sequence, IteratorProtocol {
        fileprivate let nodes: [Node]
        fileprivate var at: Int
        fileprivate let end: Int

        public mutating func next() -> (name: Int, value: Int)? {
            guard at < end else { return nil }
            defer { at = Int(nodes[at + 1].next) }
            return (at, at + 1)
        }
    }

    /// The elements of an array, by their nodes.
    public struct Elements: Sequence, IteratorProtocol {
        fileprivate let nodes: [Node]
        fileprivate var at: Int
        fileprivate let end: Int

        public mutating func next() -> Int? {
            guard at < end else { return nil }
            defer { at = Int(nodes[at].next) }
            return at
        }
    }
}

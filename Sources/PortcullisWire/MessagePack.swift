public import PortcullisCore

/// Why bytes are not strict MessagePack.
public enum MessagePackError: Error, Equatable, Sendable {
    /// The bytes end within a value, or a byte begins none (0xC1).
    case malformed(at: Int)
    /// A `str` that is not UTF-8.
    case notUnicode(at: Int)
    case tooDeep
    case duplicateKey(at: Int)
    /// A key that is neither text nor an integer.
    case oddKey(at: Int)
    case trailingData(at: Int)
    case tooLarge
}

/// A value in MessagePack (github.com/msgpack/msgpack, spec.md).
public enum MessagePackValue: Hashable, Sendable {
    case null
    case flag(Bool)
    case integer(Int64)
    /// Only what ``integer(_:)`` cannot hold.
    case unsigned(UInt64)
    case float(Double)
    case text([UInt8])
    case data([UInt8])
    case array([MessagePackValue])
    case map([Pair])
    case extended(type: Int8, [UInt8])

    public struct Pair: Hashable, Sendable {
        public let key: MessagePackValue
        public let value: MessagePackValue

        public init(key: MessagePackValue, value: MessagePackValue) {
            self.key = key
            self.value = value
        }
    }

    /// The moment that a timestamp (extension type -1: 4, 8 or 12 bytes) names; nil where the value is none.
    public var time: WallTime? {
        guard case .extended(type: -1, let bytes) = self else { return nil }
        func number(_ range: Range<Int>) -> UInt64 {
            bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
        }
        let seconds: Int64
        let nanoseconds: UInt64
        switch bytes.count {
        case 4: (seconds, nanoseconds) = (Int64(number(0..<4)), 0)
        case 8: (seconds, nanoseconds) = (Int64(number(0..<8) & (1 << 34 - 1)), number(0..<8) >> 34)
        case 12: (seconds, nanoseconds) = (Int64(bitPattern: number(4..<12)), number(0..<4))
        default: return nil
        }
        guard nanoseconds < 1_000_000_000 else { return nil }
        return WallTime(milliseconds: seconds.multipliedClamped(by: 1000))
            + Milliseconds(Int64(nanoseconds / 1_000_000))
    }
}

extension MessagePackValue {
    /// Sessions are small; what is not is refused unread.
    public static let maximumBytes = 1 << 20
    private static let maximumDepth = 16

    /// Reads one value that fills the bytes: whole, `str` in UTF-8, no key twice in a map, bounded depth.
    public init(_ bytes: [UInt8]) throws(MessagePackError) {
        guard bytes.count <= Self.maximumBytes else { throw .tooLarge }
        var reader = Reader(bytes: bytes)
        self = try reader.value(depth: 0)
        if reader.at < bytes.count { throw .trailingData(at: reader.at) }
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0

        mutating func value(depth: Int) throws(MessagePackError) -> MessagePackValue {
            let start = at
            let first = try byte()
            switch first {
            case 0x00...0x7F: return .integer(Int64(first))
            case 0x80...0x8F: return try map(Int(first & 0x0F), depth)
            case 0x90...0x9F: return try array(Int(first & 0x0F), depth)
            case 0xA0...0xBF: return try text(Int(first & 0x1F))
            case 0xC0: return .null
            case 0xC2: return .flag(false)
            case 0xC3: return .flag(true)
            case 0xC4...0xC6: return .data(try take(try length(first - 0xC4)))
            case 0xC7...0xC9: return try extended(try length(first - 0xC7))
            case 0xCA: return .float(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try number(4)))))
            case 0xCB: return .float(Double(bitPattern: try number(8)))
            case 0xCC...0xCF:
                let number = try number(1 << Int(first - 0xCC))
                return Int64(exactly: number).map { .integer($0) } ?? .unsigned(number)
            case 0xD0: return .integer(Int64(Int8(truncatingIfNeeded: try number(1))))
            case 0xD1: return .integer(Int64(Int16(truncatingIfNeeded: try number(2))))
            case 0xD2: return .integer(Int64(Int32(truncatingIfNeeded: try number(4))))
            case 0xD3: return .integer(Int64(bitPattern: try number(8)))
            case 0xD4...0xD8: return try extended(1 << Int(first - 0xD4))
            case 0xD9...0xDB: return try text(try length(first - 0xD9))
            case 0xDC, 0xDD: return try array(try length(first - 0xDC + 1), depth)
            case 0xDE, 0xDF: return try map(try length(first - 0xDE + 1), depth)
            case 0xE0...0xFF: return .integer(Int64(Int8(bitPattern: first)))
            default: throw .malformed(at: start)
            }
        }

        private mutating func byte() throws(MessagePackError) -> UInt8 {
            guard at < bytes.count else { throw .malformed(at: at) }
            defer { at += 1 }
            return bytes[at]
        }

        private mutating func number(_ count: Int) throws(MessagePackError) -> UInt64 {
            try take(count).reduce(0) { $0 << 8 | UInt64($1) }
        }

        /// A length of one, two or four bytes.
        private mutating func length(_ size: UInt8) throws(MessagePackError) -> Int {
            Int(try number(1 << Int(size)))
        }

        private mutating func take(_ count: Int) throws(MessagePackError) -> [UInt8] {
            guard count <= bytes.count - at else { throw .malformed(at: at) }
            defer { at += count }
            return Array(bytes[at..<at + count])
        }

        private mutating func text(_ count: Int) throws(MessagePackError) -> MessagePackValue {
            let start = at
            let text = try take(count)
            guard String(validating: text, as: UTF8.self) != nil else { throw .notUnicode(at: start) }
            return .text(text)
        }

        private mutating func extended(_ count: Int) throws(MessagePackError) -> MessagePackValue {
            let type = Int8(bitPattern: try byte())
            return .extended(type: type, try take(count))
        }

        // Room is not made by what a length claims: each element is at least a byte that must be there.

        private mutating func array(_ count: Int, _ depth: Int) throws(MessagePackError) -> MessagePackValue {
            guard depth < maximumDepth else { throw .tooDeep }
            var elements: [MessagePackValue] = []
            for _ in 0..<count { elements.append(try value(depth: depth + 1)) }
            return .array(elements)
        }

        private mutating func map(_ count: Int, _ depth: Int) throws(MessagePackError) -> MessagePackValue {
            guard depth < maximumDepth else { throw .tooDeep }
            var pairs: [Pair] = []
            var seen = Set<MessagePackValue>()
            for _ in 0..<count {
                let start = at
                let key: MessagePackValue
                switch try value(depth: depth + 1) {
                // Some writers keep names as raw bytes: the same name in both forms is there twice.
                case .text(let name), .data(let name): key = .text(name)
                case .integer(let number): key = .integer(number)
                case .unsigned(let number): key = .unsigned(number)
                default: throw .oddKey(at: start)
                }
                guard seen.insert(key).inserted else { throw .duplicateKey(at: start) }
                pairs.append(Pair(key: key, value: try value(depth: depth + 1)))
            }
            return .map(pairs)
        }
    }

    // MARK: - Writing

    /// The value in its shortest form.
    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(0xC0)
        case .flag(let flag): bytes.append(flag ? 0xC3 : 0xC2)
        case .integer(let number) where (-32...127).contains(number): bytes.append(UInt8(truncatingIfNeeded: number))
        case .integer(let number): Self.append(0xD3, UInt64(bitPattern: number), 8, to: &bytes)
        case .unsigned(let number): Self.append(0xCF, number, 8, to: &bytes)
        case .float(let number): Self.append(0xCB, number.bitPattern, 8, to: &bytes)
        case .text(let text):
            Self.appendLength(text.count, fixed: 0xA0, below: 32, wide: [0xD9, 0xDA, 0xDB], to: &bytes)
            bytes.append(contentsOf: text)
        case .data(let data):
            Self.appendLength(data.count, fixed: nil, below: 0, wide: [0xC4, 0xC5, 0xC6], to: &bytes)
            bytes.append(contentsOf: data)
        case .array(let elements):
            Self.appendLength(elements.count, fixed: 0x90, below: 16, wide: [nil, 0xDC, 0xDD], to: &bytes)
            for element in elements { element.append(to: &bytes) }
        case .map(let pairs):
            Self.appendLength(pairs.count, fixed: 0x80, below: 16, wide: [nil, 0xDE, 0xDF], to: &bytes)
            for pair in pairs {
                pair.key.append(to: &bytes)
                pair.value.append(to: &bytes)
            }
        case .extended(let type, let data):
            Self.appendLength(data.count, fixed: nil, below: 0, wide: [0xC7, 0xC8, 0xC9], to: &bytes)
            bytes.append(UInt8(bitPattern: type))
            bytes.append(contentsOf: data)
        }
    }

    private static func append(_ mark: UInt8, _ number: UInt64, _ count: Int, to bytes: inout [UInt8]) {
        bytes.append(mark)
        for at in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * at))) }
    }

    private static func appendLength(
        _ count: Int,
        fixed: UInt8?,
        below: Int,
        wide: [3 of UInt8?],
        to bytes: inout [UInt8]
    ) {
        if let fixed, count < below {
            bytes.append(fixed | UInt8(truncatingIfNeeded: count))
        } else if count < 1 << 8, let mark = wide[0] {
            append(mark, UInt64(count), 1, to: &bytes)
        } else if count < 1 << 16, let mark = wide[1] {
            append(mark, UInt64(count), 2, to: &bytes)
        } else if let mark = wide[2] {
            append(mark, UInt64(count), 4, to: &bytes)
        }
    }

    // MARK: - JSON

    /// The value of a JSON text.
    public init(json text: [UInt8]) throws(JSONError) {
        var json = StrictJSON()
        try json.parse(text.span)
        self.init(json, 0, text)
    }

    private init(_ json: StrictJSON, _ node: Int, _ text: [UInt8]) {
        let bytes = text.span
        switch json.kind(of: node) {
        case .null: self = .null
        case .bool: self = .flag(json.bool(node, in: bytes) == true)
        case .number:
            self = json.integer(node, in: bytes).map { .integer($0) } ?? .float(json.number(node, in: bytes) ?? 0)
        case .string: self = .text(json.string(node, in: bytes)?.bytes ?? [])
        case .array: self = .array(json.elements(of: node).map { MessagePackValue(json, $0, text) })
        case .object:
            self = .map(
                json.members(of: node).map { name, value in
                    Pair(key: MessagePackValue(json, name, text), value: MessagePackValue(json, value, text))
                }
            )
        }
    }

    /// The value as people read it: JSON, in which raw bytes and extensions are hexadecimal and a timestamp is its seconds.
    public var json: [UInt8] {
        var builder = JSONBuilder()
        append(to: &builder)
        return builder.bytes
    }

    private func append(to builder: inout JSONBuilder) {
        switch self {
        case .null: builder.null()
        case .flag(let flag): builder.value(flag)
        case .integer(let number): builder.value(number)
        case .unsigned(let number): builder.raw(Array(String(number).utf8))
        case .float(let number): if number.isFinite { builder.raw(Array("\(number)".utf8)) } else { builder.null() }
        case .text(let text): builder.value(Identifier(bytes: text))
        case .array(let elements): builder.array { builder in for element in elements { element.append(to: &builder) } }
        case .map(let pairs):
            builder.object { builder in
                for pair in pairs {
                    if case .text(let name) = pair.key { builder.name(name) } else { builder.name(pair.key.json) }
                    pair.value.append(to: &builder)
                }
            }
        case .data(let data): builder.value(Identifier(bytes: Hexadecimal.encode(data)))
        case .extended(_, let data):
            if let time {
                builder.value(seconds: time)
            } else {
                builder.value(Identifier(bytes: Hexadecimal.encode(data)))
            }
        }
    }
}

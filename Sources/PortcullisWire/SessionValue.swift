import PortcullisCore

/// A value in a server session, whatever format it is stored in: what the rules of ``SessionCodec`` are written for.
enum SessionValue: Equatable {
    case absent
    case text(Identifier)
    /// - Parameter digits: an integer as it is written: ids of 64 bits pass what a double holds.
    case number(Double, digits: [UInt8]?)
    case time(WallTime)
    case members([Member])
    case flag(Bool)
    /// What no field of a session is: a list, raw bytes.
    case other

    struct Member: Equatable {
        let name: Identifier
        let value: SessionValue
    }

    /// Whether there is a member of that name, be it null.
    func has(_ name: Identifier) -> Bool {
        guard case .members(let members) = self else { return false }
        return members.contains { $0.name == name }
    }

    /// The value at a path of names; absent where a step leads nowhere.
    func value(at path: [Identifier]) -> SessionValue {
        var value = self
        for name in path {
            guard case .members(let members) = value, let next = members.first(where: { $0.name == name }) else {
                return .absent
            }
            value = next.value
        }
        return value
    }

    // MARK: - JSON

    /// A node of a text that was parsed.
    init(_ json: StrictJSON, _ node: Int, _ bytes: [UInt8]) {
        switch json.kind(of: node) {
        case .null: self = .absent
        case .bool: self = json.bool(node, in: bytes.span).map { .flag($0) } ?? .other
        case .array: self = .other
        case .number:
            self = .number(
                json.number(node, in: bytes.span) ?? .nan,
                digits: Self.digits(json.raw(node, in: bytes.span))
            )
        case .string: self = json.string(node, in: bytes.span).map { .text($0) } ?? .other
        case .object:
            var members: [Member] = []
            for (name, value) in json.members(of: node) {
                guard let name = json.string(name, in: bytes.span) else { continue }
                members.append(Member(name: name, value: SessionValue(json, value, bytes)))
            }
            self = .members(members)
        }
    }

    private static func digits(_ raw: [UInt8]) -> [UInt8]? {
        let unsigned = raw.first == UInt8(ascii: "-") ? raw.dropFirst() : raw[...]
        return unsigned.allSatisfy { (0x30...0x39).contains($0) } ? raw : nil
    }

    // MARK: - MessagePack

    /// Of the outermost map only the members that are wanted are copied: a session holds much that is not the gate's.
    init(_ value: MessagePackValue, wanted: Set<Identifier>? = nil) {
        switch value {
        case .null: self = .absent
        case .flag(let flag): self = .flag(flag)
        case .array, .data: self = .other
        case .integer(let number): self = .number(Double(number), digits: Array(String(number).utf8))
        case .unsigned(let number): self = .number(Double(number), digits: Array(String(number).utf8))
        case .float(let number): self = .number(number, digits: nil)
        case .text(let bytes): self = .text(Identifier(bytes: bytes))
        case .extended: self = value.time.map { .time($0) } ?? .other
        case .map(let pairs):
            var members: [Member] = []
            for pair in pairs {
                guard case .text(let bytes) = pair.key else { continue }
                let name = Identifier(bytes: bytes)
                guard wanted?.contains(name) ?? true else { continue }
                members.append(Member(name: name, value: SessionValue(pair.value)))
            }
            self = .members(members)
        }
    }
}

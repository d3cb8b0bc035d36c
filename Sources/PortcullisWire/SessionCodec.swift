public import PortcullisCore

/// Reads server sessions (redis.md, *Sessions*).
public struct SessionCodec: Sendable {
    /// Where the user's id stands: the names of nested members (`sessions.user_field`).
    private let userPath: [Identifier]
    private let createdField: Identifier
    private let roles: RoleOrder

    /// - Parameters:
    ///   - userField: a dotted path, such as `user_id` or `passport.user`.
    ///   - createdField: the member that holds the time of creation, in s, ms or RFC 3339.
    public init(userField: String, createdField: String, roles: RoleOrder) {
        userPath = userField.split(separator: ".").map { Identifier(String($0)) }
        self.createdField = Identifier(createdField)
        self.roles = roles
    }

    /// Reads a session that is stored as a JSON object.
    ///
    /// - Parameters:
    ///   - id: the session's id.
    ///   - expires: when the key ends, by the time to live that came with it; nil: never.
    public func decode(
        json bytes: [UInt8],
        id: Identifier,
        expires: WallTime?,
        _ json: inout StrictJSON
    ) throws(Refusal) -> Identity {
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw Refusal(.unknownSession, "The session's value is not JSON.")
        }
        guard json.kind(of: 0) == .object else { throw Refusal(.unknownSession, "The session's value is no object.") }
        var ids: [Identity.Field: Identifier] = [.session: id]
        if let device = try identifier("device", bytes, json) { ids[.device] = device }
        if let tenant = try identifier("tenant", bytes, json) { ids[.tenant] = tenant }
        return Identity(
            user: try user(bytes, json),
            ids: ids,
            issued: time(createdField, bytes, json),
            expires: expires,
            authenticated: time("auth_time", bytes, json),
            kind: .session,
            permissions: permissions(bytes, json)
        )
    }

    private func user(_ bytes: [UInt8], _ json: StrictJSON) throws(Refusal) -> Identifier {
        var node = 0
        for name in userPath {
            guard let next = member(name, of: node, bytes, json) else {
                throw Refusal(.unknownSession, "The session has no user field.")
            }
            node = next
        }
        // Databases number their users; the number's digits are the id.
        let id =
            json.string(node, in: bytes.span)
            ?? digits(node, bytes, json)
        guard let id, id.isWellFormed else { throw Refusal(.unknownSession, "The session's user is no valid id.") }
        return id
    }

    /// The digits of a number as they stand there: ids of 64 bits pass what a double, or 18 digits, hold.
    private func digits(_ node: Int, _ bytes: [UInt8], _ json: StrictJSON) -> Identifier? {
        guard json.kind(of: node) == .number else { return nil }
        let raw = json.raw(node, in: bytes.span)
        let unsigned = raw.first == UInt8(ascii: "-") ? raw.dropFirst() : raw[...]
        return unsigned.allSatisfy { (0x30...0x39).contains($0) } ? Identifier(bytes: raw) : nil
    }

    private func member(_ name: Identifier, of object: Int, _ bytes: [UInt8], _ json: StrictJSON) -> Int? {
        json.members(of: object).first { json.string($0.name, in: bytes.span) == name }?.value
    }

    private func identifier(_ name: Identifier, _ bytes: [UInt8], _ json: StrictJSON) throws(Refusal) -> Identifier? {
        guard let node = member(name, of: 0, bytes, json), json.kind(of: node) != .null else { return nil }
        guard let id = json.string(node, in: bytes.span), id.isWellFormed else {
            throw Refusal(.unknownSession, "The session's \(name) is no valid id.")
        }
        return id
    }

    private func time(_ name: Identifier, _ bytes: [UInt8], _ json: StrictJSON) -> WallTime? {
        guard let node = member(name, of: 0, bytes, json) else { return nil }
        if let number = json.number(node, in: bytes.span) { return WallTime(secondsOrMilliseconds: number) }
        return json.string(node, in: bytes.span).flatMap { WallTime(rfc3339: $0.description) }
    }

    private func permissions(_ bytes: [UInt8], _ json: StrictJSON) -> [Identifier: Role] {
        guard let node = member("permissions", of: 0, bytes, json) else { return [:] }
        var permissions: [Identifier: Role] = [:]
        for (name, value) in json.members(of: node) {
            guard let resource = json.string(name, in: bytes.span), let role = json.string(value, in: bytes.span),
                resource.isWellFormed
            else { continue }
            permissions[resource] = roles.role(named: role)
        }
        return permissions
    }
}

extension WallTime {
    /// Seconds up to the year 5138, milliseconds beyond: no session is as old as one would have to be for the two to meet.
    public init?(secondsOrMilliseconds number: Double) {
        guard number.isFinite, number >= 0, number < 1e15 else { return nil }
        // A fraction of seconds is not exact in binary: 1700000000.123 s must not become 122 ms. A microsecond more mends that and
        // makes nothing later by a whole millisecond that is not due to it.
        self.init(milliseconds: Int64(number < 1e11 ? number * 1000 + 0.001 : number))
    }

    /// RFC 3339, section 5.6: `2026-11-23T18:09:00.123Z`, with any offset.
    public init?(rfc3339 text: String) {
        let bytes = Array(text.utf8)
        func number(_ start: Int, _ count: Int) -> Int64? {
            guard start + count <= bytes.count else { return nil }
            var value: Int64 = 0
            for digit in bytes[start..<start + count] {
                guard (0x30...0x39).contains(digit) else { return nil }
                value = value * 10 + Int64(digit - 0x30)
            }
            return value
        }
        guard bytes.count >= 20, bytes.count <= 40, let year = number(0, 4), bytes[4] == UInt8(ascii: "-"),
            let month = number(5, 2), (1...12).contains(month), bytes[7] == UInt8(ascii: "-"), let day = number(8, 2),
            (1...31).contains(day), bytes[10] | 0x20 == UInt8(ascii: "t"), let hour = number(11, 2), hour < 24,
            bytes[13] == UInt8(ascii: ":"), let minute = number(14, 2), minute < 60,
            bytes[16] == UInt8(ascii: ":"), let second = number(17, 2), second <= 60
        else { return nil }
        var at = 19
        var milliseconds: Int64 = 0
        if bytes[at] == UInt8(ascii: ".") {
            var scale: Int64 = 100
            at += 1
            let first = at
            while at < bytes.count, let digit = number(at, 1) {
                milliseconds += digit * scale
                scale /= 10
                at += 1
            }
            guard at > first else { return nil }
        }
        guard at < bytes.count else { return nil }
        var offset: Int64 = 0
        if bytes[at] | 0x20 == UInt8(ascii: "z") {
            guard at + 1 == bytes.count else { return nil }
        } else {
            guard bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-"), at + 6 == bytes.count,
                let hours = number(at + 1, 2), hours < 24, bytes[at + 3] == UInt8(ascii: ":"),
                let minutes = number(at + 4, 2), minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (bytes[at] == UInt8(ascii: "+") ? 60 : -60)
        }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard day <= lengths[Int(month) - 1] else { return nil }
        // Days since the epoch, by the civil calendar (years begin in March, so that the leap day comes last).
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        self.init(milliseconds: seconds * 1000 + milliseconds)
    }
}

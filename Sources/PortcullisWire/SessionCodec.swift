public import PortcullisCore

/// A server session as it stands in Redis.
public enum StoredSession: Equatable, Sendable {
    /// The value of a string.
    case string([UInt8])
    /// The names and values of a hash, by turns.
    case hash([[UInt8]])
}

/// How sessions are stored (`sessions.format`).
public enum SessionFormat: String, CaseIterable, Sendable {
    /// A string that holds a JSON object.
    case json
    /// A hash; its field `permissions` is the JSON text of an object.
    case hash
    /// A string that holds a map in MessagePack.
    case msgpack
}

/// Reads server sessions (redis.md, *Sessions*). A class, so that whoever uses it need not copy its tables.
public final class SessionCodec: Sendable {
    public let format: SessionFormat
    /// Where the user's id stands: the names of nested members (`sessions.user_field`).
    let userPath: [Identifier]
    let createdPath: [Identifier]
    private let roles: RoleOrder
    /// The outermost members that are looked at.
    private let wanted: Set<Identifier>

    /// - Parameters:
    ///   - userField: a dotted path, such as `user_id` or `passport.user`. Nothing is nested in a hash: there it is the name of a field.
    ///   - createdField: likewise where the time of creation stands, in s, ms, RFC 3339 or as a timestamp of MessagePack.
    public init(
        format: SessionFormat = .json,
        userField: String,
        createdField: String,
        roles: RoleOrder
    ) {
        self.format = format
        self.roles = roles
        userPath = Self.path(userField, format)
        createdPath = Self.path(createdField, format)
        wanted = Set([userPath, createdPath].compactMap(\.first) + Self.fields)
    }

    private static let fields: [Identifier] = [
        "device", "tenant", "auth_time", "permissions", "ip", "user_agent_hash", "mfa_verified", "cookie",
    ]

    private static func path(_ text: String, _ format: SessionFormat) -> [Identifier] {
        format == .hash ? [Identifier(text)] : text.split(separator: ".").map { Identifier(String($0)) }
    }

    /// When a session was made and when it ends, by what it says and by the time to live of its key: who reads it may know better, or
    /// refuse it.
    public typealias Dating = (
        _ issued: WallTime?, _ expires: WallTime?
    ) throws(Refusal) -> (issued: WallTime?, expires: WallTime?)

    /// Reads a session.
    ///
    /// - Parameters:
    ///   - id: the session's id.
    ///   - expires: when the key ends, by the time to live that came with it; nil: never.
    /// - Throws: `unknown_session` where the value is not of the format, or lacks the user.
    public func decode(
        _ stored: StoredSession,
        id: Identifier,
        expires: WallTime?,
        _ json: inout StrictJSON
    ) throws(Refusal) -> ServerSession {
        try decode(stored, id: id, expires: expires, &json) { issued, expires throws(Refusal) in (issued, expires) }
    }

    /// Reads a session whose identity has other times than it says.
    public func decode(
        _ stored: StoredSession,
        id: Identifier,
        expires: WallTime?,
        _ json: inout StrictJSON,
        dating: Dating
    ) throws(Refusal) -> ServerSession {
        if case (.json, .string(let bytes)) = (format, stored) {
            return try decodeJSON(bytes, id: id, expires: expires, &json, dating: dating)
        }
        let session = try session(stored, &json)
        var ids: [Identity.Field: Identifier] = [.session: id]
        if let device = try Self.identifier("device", session.value(at: Self.devicePath)) { ids[.device] = device }
        if let tenant = try Self.identifier("tenant", session.value(at: Self.tenantPath)) { ids[.tenant] = tenant }
        let user = try user(session)
        let address = try Self.identifier("ip", session.value(at: Self.addressPath))
        let userAgentHash = try Self.identifier("user_agent_hash", session.value(at: Self.userAgentPath))
        let dates = try dating(Self.time(session.value(at: createdPath)), expires)
        let identity = Identity(
            user: user,
            ids: ids,
            issued: dates.issued,
            expires: dates.expires,
            authenticated: Self.time(session.value(at: Self.authenticationPath)),
            kind: .session,
            permissions: permissions(session.value(at: Self.permissionsPath))
        )
        let hasVerified = session.has(Self.verified)
        return ServerSession(
            identity: identity,
            address: address,
            userAgentHash: userAgentHash,
            isMFAVerified: hasVerified ? Self.isVerified(session.value(at: [Self.verified])) : nil,
            life: Self.life(session.value(at: Self.cookiePath).value(at: Self.lifePath))
        )
    }

    // Made once, and not for each session.
    private static let devicePath: [Identifier] = ["device"]
    private static let tenantPath: [Identifier] = ["tenant"]
    private static let authenticationPath: [Identifier] = ["auth_time"]
    private static let permissionsPath: [Identifier] = ["permissions"]
    private static let addressPath: [Identifier] = ["ip"]
    private static let userAgentPath: [Identifier] = ["user_agent_hash"]
    private static let cookiePath: [Identifier] = ["cookie"]
    private static let verified: Identifier = "mfa_verified"
    /// Within `cookie`.
    static let lifePath: [Identifier] = ["originalMaxAge"]

    // MARK: - The three formats

    private func session(_ stored: StoredSession, _ json: inout StrictJSON) throws(Refusal) -> SessionValue {
        switch (format, stored) {
        case (.msgpack, .string(let bytes)):
            do throws(MessagePackError) {
                let value = try MessagePackValue(bytes)
                if case .map = value { return SessionValue(value, wanted: wanted) }
            } catch {
                throw Refusal(.unknownSession, "The session's value is not MessagePack: \(error).")
            }
            throw Refusal(.unknownSession, "The session's value is no map.")
        case (.hash, .hash(let fields)): return try hash(fields, &json)
        // A text is read by ``decodeJSON(_:id:expires:_:dating:)``.
        case (.json, _), (.msgpack, .hash), (.hash, .string):
            throw Refusal(.unknownSession, "The session is not of the configured format.")
        }
    }

    func parse(_ bytes: [UInt8], _ what: String, _ json: inout StrictJSON) throws(Refusal) {
        do throws(JSONError) {
            try json.parse(bytes.span)
        } catch {
            throw Refusal(.unknownSession, "The session's \(what) is not JSON.")
        }
    }

    /// Every value of a hash is text: times may be digits there, and what is absent may be written as nothing.
    private func hash(_ fields: [[UInt8]], _ json: inout StrictJSON) throws(Refusal) -> SessionValue {
        guard fields.count % 2 == 0 else { throw Refusal(.unknownSession, "The session's hash is not whole.") }
        var members: [SessionValue.Member] = []
        for index in stride(from: 0, to: fields.count, by: 2) {
            let (name, bytes) = (Identifier(bytes: fields[index]), fields[index + 1])
            guard wanted.contains(name) else { continue }
            guard !bytes.isEmpty else {
                members.append(SessionValue.Member(name: name, value: .absent))
                continue
            }
            var value = SessionValue.text(Identifier(bytes: bytes))
            if name == "permissions" {
                try parse(bytes, "permissions", &json)
                value = SessionValue(json, 0, bytes)
            } else if name == "auth_time" || name == "mfa_verified" || createdPath == [name] {
                value = Self.number(bytes, &json) ?? value
            }
            members.append(SessionValue.Member(name: name, value: value))
        }
        return .members(members)
    }

    private static func number(_ bytes: [UInt8], _ json: inout StrictJSON) -> SessionValue? {
        do throws(JSONError) {
            try json.parse(bytes.span)
            return [.number, .bool].contains(json.kind(of: 0)) ? SessionValue(json, 0, bytes) : nil
        } catch {
            return nil
        }
    }

    // MARK: - The rules

    private func user(_ session: SessionValue) throws(Refusal) -> Identifier {
        let id: Identifier?
        switch userPath.isEmpty ? .absent : session.value(at: userPath) {
        case .absent: throw Self.lacksUser
        case .text(let text): id = text
        // Databases number their users; the number's digits are the id.
        case .number(_, let digits): id = digits.map { Identifier(bytes: $0) }
        case .time, .members, .flag, .other: id = nil
        }
        guard let id, id.isWellFormed else { throw Self.hasNoValidUser }
        return id
    }

    static let lacksUser = Refusal(.unknownSession, "The session has no user field.")
    static let hasNoValidUser = Refusal(.unknownSession, "The session's user is no valid id.")

    static func identifier(_ name: StaticString, _ value: SessionValue) throws(Refusal) -> Identifier? {
        switch value {
        case .absent: return nil
        case .text(let id) where id.isWellFormed: return id
        default: throw Refusal(.unknownSession, "The session's \(name) is no valid id.")
        }
    }

    static func time(_ value: SessionValue) -> WallTime? {
        switch value {
        case .number(let number, _): WallTime(secondsOrMilliseconds: number)
        case .text(let text): WallTime(rfc3339: text.description)
        case .time(let time): time
        case .absent, .members, .flag, .other: nil
        }
    }

    /// A flag, a number that is not 0, or the time at which it happened; null, nothing and what can't be read count as not verified.
    static func isVerified(_ value: SessionValue) -> Bool {
        switch value {
        case .absent: false
        case .flag(let flag): flag
        case .number(let number, _): number > 0
        case .text, .time: time(value) != nil
        case .members, .other: false
        }
    }

    static func life(_ value: SessionValue) -> Milliseconds? {
        guard case .number(let number, _) = value, number >= 1, number < 1e15 else { return nil }
        return Milliseconds(Int64(number))
    }

    func permissions(_ value: SessionValue) -> [Identifier: Role] {
        guard case .members(let members) = value else { return [:] }
        var permissions: [Identifier: Role] = [:]
        for member in members {
            guard case .text(let role) = member.value, member.name.isWellFormed else { continue }
            permissions[member.name] = roles.role(named: role)
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

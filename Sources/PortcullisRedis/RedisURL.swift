public import PortcullisReactor
import PortcullisWire

/// Where Redis is: `redis://[user:pass@]host[:port][/db]` or `unix:///path[?db=n]`. Its description hides the password.
public struct RedisURL: Equatable, Sendable {
    public enum Place: Equatable, Sendable {
        case host(String, port: UInt16)
        case path(String)
    }

    public var place: Place
    public var user: String?
    public var password: String?
    public var database: Int

    public init(place: Place, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    /// Why a text is no such URL, in a sentence that shows no password.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public init(_ text: String) throws(Malformed) {
        if text.hasPrefix("unix://") {
            try self.init(unix: text.dropFirst(7))
        } else if text.hasPrefix("redis://") {
            try self.init(tcp: text.dropFirst(8))
        } else if text.hasPrefix("rediss://") || text.hasPrefix("redis+sentinel://") {
            throw Malformed(
                description: "Redis by TLS or Sentinel is not supported yet: use redis://host:port/db or unix:///path."
            )
        } else {
            throw Malformed(
                description: "The Redis URL must look like redis://user:password@host:port/db or unix:///path."
            )
        }
    }

    private init(unix text: Substring) throws(Malformed) {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = Self.decode(parts.first ?? ""), path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw Malformed(description: "The Redis URL names no absolute path: use unix:///path/to/redis.sock.")
        }
        var database = 0
        if parts.count == 2 {
            guard parts[1].hasPrefix("db=") else {
                throw Malformed(description: "The Redis URL may only have ?db=<number> behind the path.")
            }
            database = try Self.database(parts[1].dropFirst(3))
        }
        self.init(place: .path(path), database: database)
    }

    private init(tcp text: Substring) throws(Malformed) {
        var rest = text
        var user: String?
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let pair = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            guard let name = Self.decode(pair.first ?? ""), let secret = Self.decode(pair.count == 2 ? pair[1] : "")
            else {
                throw Malformed(description: "The user or password in the Redis URL has a bad percent escape.")
            }
            user = name.isEmpty ? nil : name
            password = pair.count == 2 ? secret : nil
            if password == nil {
                throw Malformed(
                    description: "The Redis URL has a user but no password: use redis://user:password@host."
                )
            }
        }
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let (host, port) = try Self.authority(parts.first ?? "")
        let database = parts.count == 2 && !parts[1].isEmpty ? try Self.database(parts[1]) : 0
        self.init(place: .host(host, port: port), user: user, password: password, database: database)
    }

    private static func authority(_ text: Substring) throws(Malformed) -> (String, UInt16) {
        var host = text
        var port: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            port = rest.isEmpty ? nil : rest.dropFirst()
            if !rest.isEmpty, !rest.hasPrefix(":") { port = "" }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        // A colon is left only in an IPv6 address, whose last group would pass for a port without brackets.
        let colons = text.hasPrefix("[") && host.count < text.count
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !host.contains(where: { "[]?#".contains($0) || ($0 == ":" && !colons) })
        else {
            throw Malformed(description: "The Redis URL names no host: use redis://host:port/db.")
        }
        guard let port else { return (String(host), 6379) }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port), number > 0 else {
            throw Malformed(description: "The port in the Redis URL is not a number from 1 to 65535.")
        }
        return (String(host), number)
    }

    private static func database(_ text: Substring) throws(Malformed) -> Int {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), (0...65535).contains(number)
        else {
            throw Malformed(description: "The database in the Redis URL is not a number: use redis://host:port/0.")
        }
        return number
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Hexadecimal.value),
                let low = rest.popFirst().flatMap(Hexadecimal.value)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The endpoints to try. A host name is looked up, which may block for seconds.
    public func resolve() throws(SocketError) -> [Endpoint] {
        switch place {
        case .path(let path): return [.unix(path: path)]
        case .host(let host, let port): return try Endpoint.resolve(host: host, port: port)
        }
    }

    /// What must be said on a new connection before anything else.
    public var greeting: [Command] {
        var commands: [Command] = []
        if let password {
            commands.append(user.map { Command("AUTH", $0, password) } ?? Command("AUTH", password))
        }
        if database != 0 { commands.append(Command("SELECT", String(database))) }
        commands.append(Command("PING"))
        return commands
    }
}

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        switch place {
        case .path(let path): return "unix://\(path)" + (database == 0 ? "" : "?db=\(database)")
        case .host(let host, let port):
            let login = password == nil ? "" : "\(user ?? ""):***@"
            let name = host.contains(":") ? "[\(host)]" : host
            return "redis://\(login)\(name):\(port)" + (database == 0 ? "" : "/\(database)")
        }
    }

    public var debugDescription: String {
        description
    }

    /// Without it `dump` would show the password.
    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

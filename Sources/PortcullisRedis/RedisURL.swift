public import PortcullisReactor

/// Where Redis is: `redis://[user:pass@]host[:port][/db]`, `unix:///path[?db=n]`, or `redis+sentinel://[user:pass@]host[:port],…/name[/db]`;
/// with `rediss` by TLS. Its description hides the password.
public struct RedisURL: Equatable, Sendable {
    public enum Place: Equatable, Sendable {
        case host(String, port: UInt16)
        case path(String)
        /// Wherever the primary of this name is: the sentinels know.
        case sentinels([RedisAddress], name: String)
    }

    public var place: Place
    public var user: String?
    public var password: String?
    public var database: Int
    /// Whether TLS is spoken, to Redis and to the sentinels.
    public var isSecured: Bool
    /// Whom TLS trusts; nil: the authorities of the system.
    public var trust: TLSContext?

    public init(
        place: Place,
        user: String? = nil,
        password: String? = nil,
        database: Int = 0,
        isSecured: Bool = false
    ) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
        self.isSecured = isSecured
    }

    /// Why a text is no such URL, in a sentence that shows no password.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The same Redis, at the address where its primary is.
    public func at(_ address: RedisAddress) -> RedisURL {
        var url = self
        url.place = .host(address.host, port: address.port)
        return url
    }

    /// How a connection to a host is secured; nil: not at all.
    public func security(of host: String) throws(TLSFailure) -> TLSClient? {
        guard isSecured else { return nil }
        if let trust { return TLSClient(trust, name: host) }
        return TLSClient(try TLSContext(authorities: nil), name: host)
    }

    /// The commands that authenticate.
    public var login: [Command] {
        guard let password else { return [] }
        return [user.map { Command("AUTH", $0, password) } ?? Command("AUTH", password)]
    }

    /// What must be said on a new connection before anything else. Where sentinels name the primary, it must say itself that it is one.
    public var greeting: [Command] {
        var commands = login
        if database != 0 { commands.append(Command("SELECT", String(database))) }
        if case .sentinels = place { commands.append(Command("ROLE")) }
        commands.append(Command("PING"))
        return commands
    }
}

/// A host and a port, as a URL or a sentinel says them.
public struct RedisAddress: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The endpoints to try. A host name is looked up, which may block for seconds.
    public func resolve() throws(SocketError) -> [Endpoint] {
        try Endpoint.resolve(host: host, port: port)
    }
}

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        let login = password == nil ? "" : "\(user ?? ""):***@"
        let scheme = isSecured ? "rediss" : "redis"
        let database = database == 0 ? "" : String(database)
        switch place {
        case .path(let path): return "unix://\(path)" + (database.isEmpty ? "" : "?db=\(database)")
        case .host(let host, let port):
            return "\(scheme)://\(login)\(RedisAddress(host: host, port: port))"
                + (database.isEmpty ? "" : "/\(database)")
        case .sentinels(let addresses, let name):
            return "\(scheme)+sentinel://\(login)\(addresses.map(\.description).joined(separator: ","))/\(name)"
                + (database.isEmpty ? "" : "/\(database)")
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

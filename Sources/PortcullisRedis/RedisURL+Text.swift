import PortcullisWire

/// Reading a URL.
extension RedisURL {
    public init(_ text: String) throws(Malformed) {
        if text.hasPrefix("unix://") {
            try self.init(unix: text.dropFirst(7))
        } else if text.hasPrefix("redis://") {
            try self.init(tcp: text.dropFirst(8))
        } else if text.hasPrefix("rediss://") {
            try self.init(tcp: text.dropFirst(9))
            isSecured = true
        } else if text.hasPrefix("redis+sentinel://") {
            try self.init(sentinels: text.dropFirst(17))
        } else if text.hasPrefix("rediss+sentinel://") {
            try self.init(sentinels: text.dropFirst(18))
            isSecured = true
        } else {
            throw Malformed(
                description:
                    "The Redis URL must look like redis://user:password@host:port/db (rediss:// for TLS), redis+sentinel://host:port,host:port/name or unix:///path."
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
        let (user, password, rest) = try Self.login(text)
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let address = try Self.authority(parts.first ?? "", port: 6379)
        let database = parts.count == 2 && !parts[1].isEmpty ? try Self.database(parts[1]) : 0
        let place = Place.host(address.host, port: address.port)
        self.init(place: place, user: user, password: password, database: database)
    }

    private init(sentinels text: Substring) throws(Malformed) {
        let (user, password, rest) = try Self.login(text)
        let parts = rest.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        var addresses: [RedisAddress] = []
        for host in (parts.first ?? "").split(separator: ",", omittingEmptySubsequences: false) {
            let address = try Self.authority(host, port: 26379)
            if !addresses.contains(address) { addresses.append(address) }
        }
        guard parts.count >= 2, let name = Self.decode(parts[1]), !name.isEmpty,
            name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else {
            throw Malformed(
                description:
                    "The Redis URL does not say which primary the sentinels are asked for: use redis+sentinel://host:port/name."
            )
        }
        let database = parts.count == 3 && !parts[2].isEmpty ? try Self.database(parts[2]) : 0
        self.init(place: .sentinels(addresses, name: name), user: user, password: password, database: database)
    }

    /// What stands before the host, and what behind it.
    private static func login(_ text: Substring) throws(Malformed) -> (String?, String?, Substring) {
        guard let at = text.lastIndex(of: "@") else { return (nil, nil, text) }
        let pair = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = decode(pair.first ?? ""), let secret = decode(pair.count == 2 ? pair[1] : "") else {
            throw Malformed(description: "The user or password in the Redis URL has a bad percent escape.")
        }
        guard pair.count == 2 else {
            throw Malformed(description: "The Redis URL has a user but no password: use redis://user:password@host.")
        }
        return (name.isEmpty ? nil : name, secret, text[text.index(after: at)...])
    }

    private static func authority(_ text: Substring, port standard: UInt16) throws(Malformed) -> RedisAddress {
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
            !host.contains(where: { "[]?#,".contains($0) || ($0 == ":" && !colons) })
        else {
            throw Malformed(description: "The Redis URL names no host: use redis://host:port/db.")
        }
        guard let port else { return RedisAddress(host: String(host), port: standard) }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port), number > 0 else {
            throw Malformed(description: "The port in the Redis URL is not a number from 1 to 65535.")
        }
        return RedisAddress(host: String(host), port: number)
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
}

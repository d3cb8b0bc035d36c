/// Where a gate's WebSocket stands: `ws://host[:port]/ws[/resource][?query]`, or `wss://` for TLS.
///
/// What a person types is taken: without a path, `/ws` is meant, and what may not stand in a request line is percent-encoded. A
/// fragment and user information are refused (RFC 6455, section 3, and RFC 9110, section 4.2.4).
public struct GateURL: Hashable, Sendable {
    /// The host name or address, without the brackets of an IPv6 address.
    public let host: String
    public let port: Int
    /// Whether it is `wss://`.
    public let isSecure: Bool
    /// The path as it stands in the request line, percent-encoded.
    public let path: String
    /// What follows the `?`, percent-encoded; it may hold a ticket or a token, so it is never printed.
    let query: String?

    /// Parses a URL.
    ///
    /// - Throws: ``GateFailure`` of the kind `invalid`, with a sentence for the person who typed it.
    public init(_ text: String) throws(GateFailure) {
        guard let colon = text.firstRange(of: "://") else {
            throw .invalid("A gate's URL begins with ws:// or wss://.")
        }
        switch text[..<colon.lowerBound].lowercased() {
        case "ws":
            isSecure = false
        case "wss":
            isSecure = true
        default:
            throw .invalid("A gate's URL begins with ws:// or wss://.")
        }
        let rest = text[colon.upperBound...]
        guard !rest.utf8.contains(UInt8(ascii: "#")) else { throw .invalid("A WebSocket URL has no #fragment.") }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        (host, port) = try Self.parse(authority: authority, defaultPort: isSecure ? 443 : 80)

        let target = rest[authority.endIndex...]
        let path = target.prefix { $0 != "?" }
        self.path = path.isEmpty || path == "/" ? "/ws" : PercentEncoding.encode(path, keeping: PercentEncoding.path)
        let query = target[path.endIndex...].dropFirst()
        self.query = query.isEmpty ? nil : PercentEncoding.encode(query, keeping: PercentEncoding.query)
    }

    private init(host: String, port: Int, isSecure: Bool, path: String, query: String?) {
        self.host = host
        self.port = port
        self.isSecure = isSecure
        self.path = path
        self.query = query
    }

    private static func parse(authority: Substring, defaultPort: Int) throws(GateFailure) -> (String, Int) {
        guard !authority.contains("@") else { throw .invalid("A gate's URL carries no user or password.") }
        let host: Substring
        var port: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { throw .invalid("The ] of the address is missing.") }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let tail = authority[authority.index(after: end)...]
            guard tail.isEmpty || tail.first == ":" else { throw .invalid("The host of the URL is not valid.") }
            port = tail.isEmpty ? nil : tail.dropFirst()
        } else {
            host = authority.prefix { $0 != ":" }
            let tail = authority[host.endIndex...]
            port = tail.isEmpty ? nil : tail.dropFirst()
        }
        // What stands here goes into the Host header as it is.
        guard !host.isEmpty, host.utf8.allSatisfy(PercentEncoding.isHostByte) else {
            throw .invalid("The host of the URL is not valid.")
        }
        guard let port else { return (String(host), defaultPort) }
        guard let number = UInt16(port), number > 0, !port.hasPrefix("+") else {
            throw .invalid("The port of the URL is not a number from 1 to 65535.")
        }
        return (String(host), Int(number))
    }

    /// The same gate, bound to a resource: `/ws/<resource>`.
    ///
    /// - Throws: ``GateFailure`` of the kind `invalid` where the URL names a resource already, or the resource is not of 1 to 255 bytes.
    public func bound(to resource: String) throws(GateFailure) -> GateURL {
        guard (1...255).contains(resource.utf8.count) else { throw .invalid("A resource has 1 to 255 bytes.") }
        guard self.resource == nil else { throw .invalid("The URL names a resource already.") }
        let base = path.hasSuffix("/") ? path : path + "/"
        let name = PercentEncoding.encode(resource[...], keeping: PercentEncoding.unreserved)
        return GateURL(host: host, port: port, isSecure: isSecure, path: base + name, query: query)
    }

    /// The resource that the path names, decoded; nil where it is `/ws`.
    public var resource: String? {
        guard path.hasPrefix("/ws/"), path.utf8.count > 4 else { return nil }
        return PercentEncoding.decode(path.dropFirst(4))
    }

    /// `host[:port]` as the Host header has it: without the port of the scheme.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// The origin of a page that this gate itself would serve.
    var origin: String {
        "\(isSecure ? "https" : "http")://\(authority)"
    }

    /// The request target, with a ticket in its query where there is one.
    func target(ticket: Secret?) -> String {
        var parts: [String] = []
        if let query { parts.append(query) }
        if let ticket {
            parts.append("ticket=" + PercentEncoding.encode(ticket.value[...], keeping: PercentEncoding.unreserved))
        }
        return parts.isEmpty ? path : path + "?" + parts.joined(separator: "&")
    }
}

extension GateURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL without its query, where credentials stand.
    public var description: String {
        "\(isSecure ? "wss" : "ws")://\(authority)\(path)" + (query == nil ? "" : "?…")
    }

    public var debugDescription: String {
        description
    }

    public var customMirror: Mirror {
        Mirror(self, children: [])
    }
}

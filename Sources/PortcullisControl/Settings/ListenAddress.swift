/// Where a listener stands: `host:port`, `[v6]:port` or `unix:/path`.
public enum ListenAddress: Hashable, Sendable {
    /// A host name or literal address (an IPv6 one without its brackets) and a port; 0 lets the system choose.
    case tcp(host: String, port: UInt16)
    /// The absolute path of a unix socket.
    case unix(path: String)

    /// The most bytes that the path of a unix socket may have (`sun_path`, less its closing zero).
    public static let longestSocketPath = 107

    /// Parses an address; nil where the text is none.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), path.utf8.count <= Self.longestSocketPath, !path.utf8.contains(0) else {
                return nil
            }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(digits)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]"), host.count > 2 {
            host = host.dropFirst().dropLast()
            guard host.contains(":"), host.utf8.allSatisfy(Self.standsInV6) else { return nil }
        } else {
            guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy(Self.standsInName) else { return nil }
        }
        self = .tcp(host: String(host), port: port)
    }

    /// Whether only programs on this machine can reach it.
    public var isLocal: Bool {
        switch self {
        case .unix: true
        case .tcp(let host, _): Self.isLoopback(host)
        }
    }

    private static func isLoopback(_ host: String) -> Bool {
        if host.lowercased() == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func standsInName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    private static func standsInV6(_ byte: UInt8) -> Bool {
        switch byte {
        // Hexadecimal digits, colon, dot, and a zone such as %eth0.
        case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x25, 0x2E: true
        default: false
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// The address as it is written in a configuration.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}

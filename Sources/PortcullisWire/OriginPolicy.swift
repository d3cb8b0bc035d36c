public import PortcullisCore

/// Which pages may open a connection (RFC 6455, section 10.2; RFC 6454). A browser sends the user's cookies whichever page asks, so for
/// them the page must be known.
public struct OriginPolicy: Equatable, Sendable {
    /// What the `Origin` of a request is worth.
    public enum Verdict: Equatable, Sendable {
        case absent
        /// That of the gate itself, or on the list.
        case acceptable
        case forbidden
    }

    private let allowed: [Pattern]

    /// Only the gate's own origin.
    public static let sameOrigin = OriginPolicy(allowed: [])

    private init(allowed: [Pattern]) {
        self.allowed = allowed
    }

    /// - Parameter origins: `https://app.example.com`, `http://localhost:3000`, or `https://*.example.com` for every host below one.
    /// - Returns: nil where one is no origin; `null` is none, since every sandboxed frame of every site sends it.
    public init?(_ origins: [String]) {
        let patterns = origins.map(Pattern.init)
        allowed = patterns.compactMap { $0 }
        guard allowed.count == patterns.count else { return nil }
    }

    /// - Parameter secure: whether the connection came over TLS to the gate itself, so that its own origin is surely `https`. Where
    ///   it did not, something in front may have unwrapped it, and either scheme will do.
    public func verdict(on request: UpgradeRequest, _ bytes: Span<UInt8>, secure: Bool) -> Verdict {
        guard let origin = request.origin else { return .absent }
        guard let parsed = Origin(bytes, origin) else { return .forbidden }
        if parsed.isSame(asHost: request.host, bytes, secure: secure) { return .acceptable }
        return allowed.contains { $0.matches(parsed, bytes) } ? .acceptable : .forbidden
    }

    /// Refuses a cookie from a page that is not known, and, where there is a list, any credential from a page that is not on it.
    public func check(_ verdict: Verdict, _ credential: Credential?) throws(Refusal) {
        switch verdict {
        case .acceptable: return
        case .absent:
            if let credential, credential.isAmbient {
                throw Refusal(.originForbidden, "a cookie without an Origin")
            }
        case .forbidden:
            if !allowed.isEmpty || credential?.isAmbient == true {
                throw Refusal(.originForbidden, "the Origin is not the gate's and not on the list")
            }
        }
    }
}

extension Credential {
    /// Whether the browser adds it by itself, whichever page asks.
    public var isAmbient: Bool {
        switch self {
        case .session, .signedSession, .token(_, .cookie): true
        case .token, .ticket: false
        }
    }
}

/// scheme "://" host [ ":" port ] (RFC 6454, section 6.2), where it stands.
private struct Origin {
    let scheme: Range<Int>
    let host: Range<Int>
    /// As written, or the scheme's own.
    let port: UInt16?

    init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":"), in: range), colon > range.lowerBound,
            bytes.hasPrefix(colon..<range.upperBound, "://"), bytes.allSatisfy(range.lowerBound..<colon, .token),
            let authority = HostName(bytes, colon + 3..<range.upperBound)
        else { return nil }
        scheme = range.lowerBound..<colon
        host = authority.name
        port = authority.port ?? Self.defaultPort(bytes, scheme)
    }

    private static func defaultPort(_ bytes: Span<UInt8>, _ scheme: Range<Int>) -> UInt16? {
        if bytes.equalsIgnoringCase(scheme, "https") { return 443 }
        return bytes.equalsIgnoringCase(scheme, "http") ? 80 : nil
    }

    /// `Host` names no scheme, so a port that it does not name is that of the origin's.
    func isSame(asHost range: Range<Int>, _ bytes: Span<UInt8>, secure: Bool) -> Bool {
        guard let standard = Self.defaultPort(bytes, scheme), !secure || standard == 443,
            let mine = HostName(bytes, range)
        else { return false }
        return bytes.equalsIgnoringCase(host, mine.name) && port == mine.port ?? standard
    }
}

/// One line of the list.
private struct Pattern: Equatable, Sendable {
    let scheme: [UInt8]
    /// Behind a `*`, beginning with the dot, where `isWildcard`.
    let host: [UInt8]
    let port: UInt16?
    let isWildcard: Bool

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let origin = Origin(bytes.span, bytes.indices) else { return nil }
        let name = bytes.span.copy(origin.host)
        isWildcard = name.starts(with: "*.".utf8)
        host = isWildcard ? Array(name.dropFirst()) : name
        guard !host.contains(UInt8(ascii: "*")), !isWildcard || host.count > 1 else { return nil }
        scheme = bytes.span.copy(origin.scheme)
        port = origin.port
    }

    func matches(_ origin: Origin, _ bytes: Span<UInt8>) -> Bool {
        guard port == origin.port, bytes.equalsIgnoringCase(origin.scheme, scheme) else { return false }
        guard isWildcard else { return bytes.equalsIgnoringCase(origin.host, host) }
        let below = origin.host.count - host.count
        guard below > 0, bytes[origin.host.lowerBound] != UInt8(ascii: ".") else { return false }
        return bytes.equalsIgnoringCase(origin.host.upperBound - host.count..<origin.host.upperBound, host)
    }
}

import Foundation

/// Where the keys of an issuer stand.
public enum KeySetPlace: Hashable, Sendable, CustomStringConvertible {
    case file(String)
    case url(KeySetURL)

    /// - Returns: nil where the text looks like a URL and is none that keys are fetched from.
    public init?(_ text: String) {
        guard text.contains("://") else {
            self = .file(text)
            return
        }
        guard let url = KeySetURL(text) else { return nil }
        self = .url(url)
    }

    /// The path, or the URL without its password.
    public var description: String {
        switch self {
        case .file(let path): path
        case .url(let url): url.description
        }
    }
}

/// The URL of a key set: http or https. Its password stands in no text that is made of it.
public struct KeySetURL: Hashable, Sendable {
    /// What is asked: without user, password and fragment.
    let address: String
    let scheme: String
    /// The value of `Authorization` (RFC 7617); nil where the URL has no user.
    let authorization: String?
    public let description: String

    public init?(_ text: String) {
        guard var parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty,
            parts.port.map({ (1...65535).contains($0) }) ?? true,
            !text.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7F })
        else { return nil }
        if parts.user != nil || parts.password != nil {
            let pair = Data("\(parts.user ?? ""):\(parts.password ?? "")".utf8)
            authorization = "Basic \(pair.base64EncodedString())"
        } else {
            authorization = nil
        }
        (parts.user, parts.password, parts.fragment) = (nil, nil, nil)
        parts.scheme = scheme
        guard let address = parts.string else { return nil }
        self.address = address
        self.scheme = scheme
        description = Secret(address: text).shown
    }

    /// The place that an answer points to (RFC 9110, section 10.2.2); nil where keys are not fetched from there: another scheme, or
    /// one that gives up the protection that this URL has. The account goes along to the same origin alone.
    func following(_ location: String) -> KeySetURL? {
        guard let base = URL(string: address), let target = URL(string: location, relativeTo: base)?.absoluteURL,
            var parts = URLComponents(url: target, resolvingAgainstBaseURL: true)
        else { return nil }
        (parts.user, parts.password) = (nil, nil)
        guard let text = parts.string, let next = KeySetURL(text), scheme == "http" || next.scheme == "https" else {
            return nil
        }
        return next.origin == origin ? KeySetURL(next, authorization: authorization) : next
    }

    private init(_ url: KeySetURL, authorization: String?) {
        address = url.address
        scheme = url.scheme
        self.authorization = authorization
        description = url.description
    }

    private var origin: String {
        let parts = URLComponents(string: address)
        let port = parts?.port ?? (scheme == "https" ? 443 : 80)
        return "\(scheme)://\(parts?.host?.lowercased() ?? ""):\(port)"
    }
}

extension KeySetURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var debugDescription: String { description }
    /// Without it `dump` would look inside.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

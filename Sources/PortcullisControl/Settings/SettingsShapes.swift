/// The shapes that texts of the configuration must have.
extension SettingsRules {
    /// An absolute path of a URL, without query and fragment.
    static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3F && $0 != 0x23 }
    }

    static func isNodeName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    /// A token (RFC 9110, section 5.6.2): the name of a cookie or a subprotocol.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// `*`, or an origin (RFC 6454): scheme, host and perhaps a port; the host may begin with `*.`.
    static func isOrigin(_ text: String) -> Bool {
        if text == "*" { return true }
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            var host = text.dropFirst(scheme.count)
            if host.hasPrefix("*.") { host = host.dropFirst(2) }
            guard !host.contains("*"), !host.contains("/") else { return false }
            return ListenAddress("\(host)") != nil || ListenAddress("\(host):443") != nil
        }
        return false
    }

    /// A template with exactly one place for the session's id.
    static func isSessionKey(_ text: String) -> Bool {
        text.ranges(of: "{id}").count + text.ranges(of: "{sha256}").count == 1
    }
}

/// A text that must never be shown: a password, or an address with a password in it.
///
/// Printing, dumping and interpolating it give ``shown``; only ``revealed`` gives the text.
public struct Secret: Hashable, Sendable {
    /// The text itself. Do not log it.
    public let revealed: String
    /// What stands for it wherever it is printed.
    public let shown: String

    /// A secret of which nothing is shown.
    public init(_ text: String) {
        self.revealed = text
        self.shown = "(secret)"
    }

    /// The address of a server; everything of it is shown but its password.
    public init(address: String) {
        self.revealed = address
        self.shown = Secret.masking(passwordOf: address)
    }

    /// An address with `***` in place of its password, wherever a password may stand in it.
    static func masking(passwordOf address: String) -> String {
        guard let scheme = address.firstRange(of: "://") else { return address.contains("@") ? "(secret)" : address }
        let rest = address[scheme.upperBound...]
        // The last `@`: a password may hold one itself, a host may not. A path may, and then too much is masked, never too little.
        guard let at = rest.lastIndex(of: "@") else { return maskingQuery(address) }
        let account = rest[..<at]
        let user = account.firstIndex(of: ":").map { account[..<$0] } ?? ""
        return maskingQuery("\(address[..<scheme.upperBound])\(user):***\(rest[at...])")
    }

    private static func maskingQuery(_ address: String) -> String {
        guard let mark = address.firstIndex(of: "?") else { return address }
        let query = address[mark...].lowercased()
        guard ["pass", "key", "token", "secret", "sig"].contains(where: query.contains) else { return address }
        return "\(address[..<mark])?***"
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { shown }
    public var debugDescription: String { shown }
    /// Without it `dump` of an enclosing value would look inside.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

import Foundation
import PortcullisClient

/// One event as a person reads it. What came from the peer is cleaned on its way in, here and nowhere else.
struct ConnectLine: Sendable {
    enum Mood: Sendable {
        case plain
        case quiet
        case good
        case warning
        case bad
        case told
    }

    let text: String
    let mood: Mood

    init(_ text: String, _ mood: Mood = .plain) {
        self.text = text
        self.mood = mood
    }

    init(_ received: Received) {
        switch received.message {
        case .welcome(let welcome): self.init(welcome)
        case .permission(let change): self.init(change)
        case .expiring(_, let seconds):
            self.init("expiring \(seconds.map { "in \(Self.span($0))" } ?? "soon")", .warning)
        case .refreshed(let expires, let permissions):
            self.init("refreshed\(Self.expiry(expires)) · may: \(Self.roles(permissions))", .good)
        case .reauthenticate(let deadline, let reason):
            let when = deadline.map { " within \(Self.span($0))" } ?? ""
            self.init("reauthenticate\(when)\(Self.tail(reason))", .warning)
        case .notice(let data): self.init("notice \(Self.clean(data.text))", .told)
        case .message(let relayed):
            let data = relayed.data?.text ?? relayed.base64.map { "binary, base64 \($0)" } ?? ""
            self.init("\(Self.clean(relayed.resource)) \(Self.clean(relayed.user ?? "?")): \(Self.clean(data))")
        case .joined(let membership): self.init("joined", membership)
        case .left(let membership): self.init("left", membership)
        case .missed(let resource):
            self.init("missed messages on \(Self.clean(resource)): read it anew", .warning)
        case .error(let error):
            self.init("error \(Self.clean(error.code))\(Self.tail(error.detail))", .bad)
        case .closing(let closing):
            self.init("closing \(closing.code) \(Self.clean(closing.reason))\(Self.tail(closing.detail))", .bad)
        case .text(let text): self.init(Self.clean(text))
        case .binary(let bytes): self.init("binary, \(bytes.count) bytes: \(Self.hexadecimal(bytes))")
        case .other(_, let text): self.init(Self.clean(text))
        }
    }

    private init(_ welcome: Welcome) {
        var text = "welcome \(Self.clean(welcome.user))"
        if let resource = welcome.resource { text += " on \(Self.clean(resource))" }
        if let role = welcome.role { text += " as \(Self.clean(role))" }
        text += " · may: \(Self.roles(welcome.permissions))"
        if let session = welcome.session { text += " · session \(Self.clean(session))" }
        text += Self.expiry(welcome.expiresAt)
        if let node = welcome.node { text += " · gate \(Self.clean(node))" }
        self.init(text + " · connection \(Self.clean(welcome.connection))", .good)
    }

    private init(_ change: PermissionChange) {
        let names = "\(Self.clean(change.from ?? "none")) → \(Self.clean(change.to ?? "none"))"
        let mood: Mood =
            switch (Self.rank(change.from), Self.rank(change.to)) {
            case (_, 0): .bad
            case (let from?, let to?): to > from ? .good : .warning
            default: .warning
            }
        self.init("permission on \(Self.clean(change.resource)): \(names)\(Self.tail(change.reason))", mood)
    }

    private init(_ verb: String, _ membership: Membership) {
        var text = membership.user.map { "\(Self.clean($0)) \(verb) " } ?? "\(verb) "
        text += Self.clean(membership.resource)
        if let role = membership.role { text += " as \(Self.clean(role))" }
        if let members = membership.members { text += " · members: \(Self.clean(members.text))" }
        self.init(text, .quiet)
    }

    // MARK: Parts

    /// Long texts are cut: a terminal is no place for a document. `--json` has all of it.
    private static func clean(_ text: String) -> String {
        PlainText.clean(text, limit: 4000)
    }

    private static func tail(_ text: String?) -> String {
        text.map { $0.isEmpty ? "" : ": \(clean($0))" } ?? ""
    }

    private static func roles(_ permissions: [String: String]) -> String {
        guard !permissions.isEmpty else { return "nothing yet" }
        let roles = permissions.sorted { $0.key < $1.key }.map { "\(clean($0.key)) \(clean($0.value))" }
        let rest = roles.count > 20 ? ", and \(roles.count - 20) more" : ""
        return roles.prefix(20).joined(separator: ", ") + rest
    }

    /// The order of the roles that every gate knows; nil for one that this client does not.
    private static func rank(_ role: String?) -> Int? {
        guard let role else { return 0 }
        return ["viewer", "commenter", "editor", "owner"].firstIndex(of: role).map { $0 + 1 }
    }

    private static func expiry(_ expiresAt: Double?) -> String {
        guard let expiresAt else { return "" }
        let left = expiresAt - Date().timeIntervalSince1970
        return left > 0 ? " · expires in \(span(left))" : " · expired"
    }

    static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<10: "\((max(seconds, 0) * 10).rounded() / 10) s"
        case ..<120: "\(Int(seconds.rounded())) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\(Int((seconds / 3600).rounded())) h"
        default: "\(Int(min(seconds / 86_400, 1e6).rounded())) days"
        }
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = bytes.prefix(64).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        return digits.joined(separator: " ") + (bytes.count > 64 ? " …" : "")
    }
}

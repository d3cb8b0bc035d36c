/// What sentinels are asked, and what they answer.
public enum SentinelAnswer: Equatable, Sendable {
    case primary(RedisAddress)
    /// It does not know the name.
    case unknown
    /// Another answer, in words.
    case refused(String)

    /// Asks where the primary of this name is.
    public static func question(_ name: String) -> Command {
        Command("SENTINEL", "get-master-addr-by-name", name)
    }

    public init(_ reply: RESPValue) {
        switch reply {
        case .null: self = .unknown
        case .array(let parts):
            guard parts.count == 2, let host = parts[0].text, let port = parts[1].text.flatMap({ UInt16($0) }),
                !host.isEmpty, port > 0
            else { fallthrough }
            self = .primary(RedisAddress(host: host, port: port))
        default:
            self = .refused(reply.errorText.map(LinkMachine.sentence) ?? "The sentinel answered something else.")
        }
    }
}

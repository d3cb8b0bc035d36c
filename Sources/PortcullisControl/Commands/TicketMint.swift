public import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
public import PortcullisRedis
import PortcullisWire

/// Makes one-time tickets.
public enum TicketMint {
    /// How long a ticket may wait to be used.
    public static let life = Milliseconds.seconds(30)

    /// Makes a ticket and gives it; Redis holds only its hash.
    /// - Parameter resource: the one resource that it opens; nil: any.
    public static func mint(
        user: Identifier,
        resource: Identifier?,
        _ connection: BlockingConnection,
        _ settings: Settings
    ) throws -> String {
        let keys = Keys(prefix: settings.redis.prefix)
        let ticket = Identifier(bytes: Hexadecimal.encode(try SecureRandom.bytes(24)))
        let key = keys.ticket(ticket)
        let time = try connection.ask(Command("TIME")).array?.compactMap { $0.text.flatMap { Int64($0) } } ?? []
        guard time.count == 2 else { throw StartupError("Redis did not say what time it is.") }
        // Redis' clock, by which revocations are dated too.
        let issued = WallTime(milliseconds: time[0].multipliedClamped(by: 1000).addingClamped(time[1] / 1000))
        let value = TicketCodec.encode(user: user, issued: issued, resource: resource)
        let milliseconds = Array(String(life.count).utf8)
        let reply = try connection.ask(Command([Array("SET".utf8), key, value, Array("PX".utf8), milliseconds]))
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return ticket.description
    }
}

public import PortcullisCore
public import PortcullisRedis
import PortcullisWire

/// Reads all decisions that stand, for whoever is no gate and follows no log: `P:standing` whole, then `P:log` to its tail.
public struct StandingReader {
    private static let pageSize = 2000

    private let connection: BlockingConnection
    private let keys: Keys
    private let roles: RoleOrder
    private let lifetimes: StandingDecisions.Lifetimes

    public init(_ connection: BlockingConnection, _ settings: Settings) throws(StartupError) {
        self.connection = connection
        keys = Keys(prefix: settings.redis.prefix)
        roles = try GateAssembly.roles(settings)
        let policy = GateAssembly.appendPolicy(settings)
        lifetimes = .init(retention: policy.retention, longestSession: policy.longestSession)
    }

    /// Every decision that Redis had acknowledged when this was called. What is no event stands against nobody, as at a gate.
    public func read() throws -> StandingDecisions {
        var standing = StandingDecisions(lifetimes: lifetimes)
        // In this order: a decision that falls out of the log between the two questions stands in the hash before.
        let fields = try list(Command("HGETALL", keys.standing))
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            guard let event = fields[index].bytes, let text = fields[index + 1].bytes,
                let entry = try? StandingEntry.decode(text, roles: roles)
            else { continue }
            standing.apply(entry.event.decision, event: Identifier(bytes: event), order: entry.order)
        }
        var start = "-"
        while true {
            let page = try list(Command("XRANGE", keys.log, start, "+", "COUNT", String(Self.pageSize)))
            for row in page { apply(row, to: &standing) }
            guard page.count == Self.pageSize, let last = page.last?.array?.first?.text else { return standing }
            start = "(" + last
        }
    }

    private func list(_ command: Command) throws -> [RESPValue] {
        let reply = try connection.ask(command)
        guard let list = reply.array else { throw StartupError(LinkMachine.sentence(reply.errorText ?? "no list")) }
        return list
    }

    private func apply(_ row: RESPValue, to standing: inout StandingDecisions) {
        guard let parts = row.array, parts.count == 2, let fields = parts[1].array else { return }
        var values: [String: [UInt8]] = [:]
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            if let name = fields[index].text, let value = fields[index + 1].bytes { values[name] = value }
        }
        guard let text = values["e"], let id = values["i"],
            let order = values["o"].flatMap({ Int64(String(decoding: $0, as: UTF8.self)) }),
            let event = try? EventCodec.decode(text, roles: roles, mayLackID: true)
        else { return }
        standing.apply(event.decision, event: Identifier(bytes: id), order: order)
    }
}

import PortcullisControl
import PortcullisCore
import PortcullisRedis

/// Sends decisions to the gate's Redis as the commands do, and knows to the microsecond when.
struct Decider {
    private let client: DecisionClient
    private let roles: RoleOrder

    /// - Parameter folder: the state directory of the gate.
    init(_ folder: StateDirectory) throws {
        let settings = try Settings.load(flags: ["state_dir": folder.path])
        let connection = try BlockingConnection(RedisURL(place: .path(folder.redisSocket)))
        client = try DecisionClient(connection, settings)
        roles = try GateAssembly.roles(settings)
    }

    /// Gives a user a role on a resource.
    ///
    /// - Returns: the moment just before the decision was sent, as of the others here.
    func permit(_ user: String, _ resource: String, _ role: String) throws -> ContinuousClock.Instant {
        guard let role = roles.role(named: Identifier(role)) else { throw Failure("There is no role \(role).") }
        let user = Identifier(user)
        return try send(.permit(.init(user: user, resource: Identifier(resource), role: role, version: nil)))
    }

    func revoke(_ user: String, message: String) throws -> ContinuousClock.Instant {
        try send(.revoke(.init(select: selector(user), issuedBefore: .append)), message)
    }

    func notify(_ user: String, data: String) throws -> ContinuousClock.Instant {
        try send(.notify(selector(user), except: nil, data: Array(data.utf8)))
    }

    private func selector(_ user: String) -> Selector {
        Selector(ids: [.user: Identifier(user)])
    }

    private func send(_ decision: Decision, _ message: String? = nil) throws -> ContinuousClock.Instant {
        let id = Identifier("demo-\(String(UInt64.random(in: 0 ... .max), radix: 36))")
        let event = Event(id: id, decision: decision, actor: "demo", message: message)
        let began = ContinuousClock.now
        let sent = try client.send(event)
        if case .stale = sent { throw Failure("The permission was older than what is stored.") }
        return began
    }
}

import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Synchronization
import TestKit

/// A gate with a Redis of its own, and what is needed to knock on its door.
final class GateUnderTest: Sendable {
    static let secret = Array("a secret that is long enough for HS256, really".utf8)

    let redis: RedisServer
    let gate: Gate
    let reports: Reports
    private let configuration: GateConfiguration
    private let signer: Mutex<TokenSigner>

    struct Vain: Error {
        let description: String
    }

    final class Reports: Sendable {
        private let list = Mutex<[GateReport]>([])
        private let hook = Mutex<(@Sendable (GateReport) -> Void)?>(nil)

        func add(_ report: GateReport) {
            list.withLock { $0.append(report) }
            hook.withLock { $0 }?(report)
        }

        /// Calls this with each report, on the thread of the loop that reports: what blocks there stops the loop.
        func whenAdded(_ action: @escaping @Sendable (GateReport) -> Void) {
            hook.withLock { $0 = action }
        }

        var all: [GateReport] {
            list.withLock { $0 }
        }
    }

    init(
        redis: RedisServer? = nil,
        loops: Int = 2,
        node: String = "test",
        isReady: Bool = true,
        _ change: (inout GateConfiguration) -> Void = { _ in }
    ) throws {
        let redis = try redis ?? RedisServer()
        self.redis = redis
        let key = try SigningKey(secret: Self.secret.span, algorithm: .hs256, source: "the test")
        signer = Mutex(TokenSigner(key))
        let policy = try TokenPolicy(issuers: [TokenIssuer(keys: try KeySet([key.verificationKey]))])
        var configuration = GateConfiguration(
            listen: .tcp(address: "127.0.0.1", port: 0),
            loops: loops,
            node: node,
            redis: redis.url,
            tokens: policy
        )
        // Clients of tests answer no ping; those of the heartbeats set their own.
        configuration.heartbeat = .seconds(600)
        // Tests send as fast as they can; those of the rates set their own.
        configuration.rates = ConnectionRates(messages: 0, bytes: 0, control: 0)
        change(&configuration)
        self.configuration = configuration
        let reports = Reports()
        self.reports = reports
        gate = try Gate(configuration) { reports.add($0) }
        if isReady { try awaitReady() }
    }

    deinit {
        gate.stop()
    }

    /// Takes another configuration: the one of the start, changed.
    func reload(_ change: (inout GateConfiguration) -> Void) throws {
        var new = configuration
        change(&new)
        gate.reload(new)
    }

    func awaitReady() throws {
        try wait("the gate is ready") { gate.status.isReady }
    }

    /// Waits for a state that only a snapshot shows.
    func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let end = Clock.boot() + 30_000_000_000
        repeat {
            if try condition() { return }
            Thread.sleep(forTimeInterval: 0.01)
        } while Clock.boot() < end
        throw Vain(description: "waited in vain: \(what)")
    }

    func token(
        _ user: String,
        _ claims: [String: String] = [:],
        issued: Double? = nil,
        life: Double = 600
    ) throws -> String {
        // Rounded down: written with three digits it must not be later than it is.
        let now = issued ?? (Date().timeIntervalSince1970 * 1000).rounded(.down) / 1000
        var all = ["sub": "\"\(user)\"", "iat": String(format: "%.3f", now), "exp": String(format: "%.3f", now + life)]
        all.merge(claims) { $1 }
        let pairs = all.map { (name: $0.key, json: Array($0.value.utf8)) }
        return String(decoding: try signer.withLock { try $0.sign(pairs) }, as: UTF8.self)
    }

    func connect(
        _ user: String,
        _ claims: [String: String] = [:],
        path: String = "/ws",
        raw: Bool = false,
        token: String? = nil
    ) throws -> WebSocketPeer {
        var headers = ["Authorization: Bearer \(try token ?? self.token(user, claims))"]
        if !raw { headers.append("Sec-WebSocket-Protocol: portcullis.v1") }
        return try WebSocketPeer(gate.endpoint, path: path, headers: headers)
    }

    /// Publishes an event bare, as `redis-cli PUBLISH` does.
    func publish(_ json: String) throws {
        try redis.ask("PUBLISH", "portcullis:events", json)
    }

    /// Appends an event by the script.
    @discardableResult
    func append(_ decision: Decision, id: String = UUID().uuidString) throws -> AppendScript.Answer {
        let event = Event(id: Identifier(id), decision: decision)
        let json = EventCodec.encode(event, roles: .standard)
        let command = AppendScript.command(
            event,
            json: json,
            id: Identifier(id),
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        return AppendScript.Answer(try BlockingConnection(redis.url).ask(command))
    }
}

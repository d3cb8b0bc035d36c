import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Synchronization
import TestKit

/// Two real gates, a real Redis, and a proxy between for each gate. On each gate a room in which somebody speaks all the time, one who
/// listens and is to be cut off, and one who listens and is nobody's concern.
final class World {
    struct Vain: Error, CustomStringConvertible {
        let description: String
    }

    /// Something broke a bound in time, and the threads of the test were late themselves by more than the bounds allow for.
    struct Unmeasured: Error, CustomStringConvertible {
        let description: String
    }

    static let secret = Array("a secret that is long enough for HS256, really".utf8)

    let redis: RedisServer
    let proxies: [FaultProxy]
    let ledger = Ledger()
    private let watch: Watch
    private(set) var gates: [Gate] = []
    private(set) var victims: [Client] = []
    private(set) var bystanders: [Client] = []
    private var speakers: [Speaker] = []
    private let policy: TokenPolicy
    private let mode: LoopLease.Mode
    private var signer: TokenSigner

    /// - Parameter primaries: the Redis that each gate follows; nil: the world's own.
    init(
        _ redis: RedisServer? = nil,
        mode: LoopLease.Mode = .strict,
        follow primaries: [RedisServer]? = nil
    ) throws {
        watch = try Watch()
        let redis = try redis ?? RedisServer()
        self.redis = redis
        self.mode = mode
        let key = try SigningKey(secret: Self.secret.span, algorithm: .hs256, source: "the test")
        signer = TokenSigner(key)
        policy = try TokenPolicy(issuers: [TokenIssuer(keys: try KeySet([key.verificationKey]))])
        proxies = try (primaries ?? [redis, redis]).map { try FaultProxy(to: $0.socket) }
        try startGates()
        for (index, gate) in gates.enumerated() {
            let path = "/ws/doc:\(index)"
            func client(_ name: String) throws -> Client {
                try Client("\(name) on gate \(index)", gate.endpoint, path: path, token: try token(name), ledger)
            }
            victims.append(try client("mallory"))
            bystanders.append(try client("alice"))
            speakers.append(try Speaker(gate.endpoint, path: path, token: try token("speaker")))
        }
        try awaitStreams()
    }

    deinit {
        for speaker in speakers { speaker.stop() }
        redis.resume()
        for gate in gates { gate.stop() }
        for client in victims + bystanders { client.join() }
        for proxy in proxies { proxy.stop() }
        watch.stop()
    }

    private func startGates() throws {
        for (index, proxy) in proxies.enumerated() {
            var configuration = GateConfiguration(
                listen: .tcp(address: "127.0.0.1", port: 0),
                loops: 1,
                node: "gate-\(index)",
                redis: proxy.url,
                tokens: policy
            )
            configuration.lease = Milliseconds(Bounds.lease / 1_000_000)
            configuration.mode = mode
            configuration.drainDeadline = Milliseconds(100)
            // Who only listens answers no ping.
            configuration.heartbeat = .seconds(600)
            configuration.rates = ConnectionRates(messages: 0, bytes: 0, control: 0)
            gates.append(try Gate(configuration) { _ in })
        }
        try awaitReady()
    }

    // MARK: - Waiting

    func wait(_ what: String, _ condition: () throws -> Bool) throws {
        // By the clock: a condition may take its time itself.
        let end = Clock.boot() + 30_000_000_000
        repeat {
            if try condition() { return }
            Thread.sleep(forTimeInterval: 0.01)
        } while Clock.boot() < end
        throw Vain(description: "waited in vain: \(what)")
    }

    func awaitReady() throws {
        for (index, gate) in gates.enumerated() { try wait("gate \(index) is ready") { gate.status.isReady } }
    }

    /// Waits until a client has received so many messages more.
    func awaitStream(_ client: Client, _ more: Int = 3) throws {
        let before = ledger[client.account].application.count
        try wait("\(ledger[client.account].name) receives") {
            ledger[client.account].application.count >= before + more
        }
    }

    private func awaitStreams() throws {
        for client in victims + bystanders { try awaitStream(client) }
    }

    /// Lets the time of a bound pass, and some more, so that what breaks it is seen.
    func pass(_ bound: Int64, since time: Int64) {
        let end = time + bound + Bounds.slack + Bounds.scheduling + 500_000_000
        while Clock.boot() < end { Thread.sleep(forTimeInterval: 0.01) }
    }

    // MARK: - Decisions

    func token(_ user: String) throws -> String {
        let now = Date().timeIntervalSince1970
        let role = user == "speaker" ? "editor" : "viewer"
        let claims = [
            ("sub", "\"\(user)\""), ("iat", String(format: "%.3f", now)), ("exp", String(format: "%.3f", now + 600)),
            ("permissions", #"{"doc:0":"\#(role)","doc:1":"\#(role)"}"#),
        ]
        return String(decoding: try signer.sign(claims.map { (name: $0.0, json: Array($0.1.utf8)) }), as: UTF8.self)
    }

    /// Appends a revocation of all that the user has.
    /// - Parameter server: to another Redis than the world's own.
    /// - Returns: when Redis had acknowledged it.
    @discardableResult
    func revoke(_ user: String = "mallory", at server: RedisServer? = nil) throws -> Int64 {
        let id = Identifier(UUID().uuidString)
        let select = Selector(ids: [.user: Identifier(user)])
        let event = Event(id: id, decision: .revoke(.init(select: select, issuedBefore: .append)))
        let command = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: id,
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        let answer = AppendScript.Answer(try BlockingConnection((server ?? redis).url).ask(command))
        guard case .appended = answer else { throw Vain(description: "not appended: \(answer)") }
        return Clock.boot()
    }

    // MARK: - What must hold

    /// Checks G2 for the victims and G6 for the bystanders, who are served (again).
    func violations(decided: Int64, within: Int64 = Bounds.lease, learnt: Int64) throws -> [String] {
        for victim in victims {
            try wait("\(ledger[victim.account].name) is gone") { ledger[victim.account].ended != nil }
        }
        for bystander in bystanders { try awaitStream(bystander) }
        return try victims.flatMap {
            let account = $0.account
            let broken = ledger.violations(victim: account, decided: decided, within: within, learnt: learnt)
            return try checked(broken, decided)
        } + bystanders.flatMap { ledger.violations(bystander: $0.account) }
    }

    /// Bounds in time that were broken since, where the times mean something.
    func checked(_ broken: [String], _ time: Int64) throws -> [String] {
        let late = watch.longest(since: time)
        guard !broken.isEmpty, late > Bounds.scheduling else { return broken }
        let found = broken.joined(separator: "; ")
        let span = "\(late / 1_000_000) ms"
        throw Unmeasured(description: "a thread of the test was given no processor for \(span): \(found)")
    }

    /// Who comes back with what was revoked, and G6 for who was not, at every gate.
    private func returning() throws -> [String] {
        var found: [String] = []
        for (index, gate) in gates.enumerated() {
            for (client, status) in victims.map({ ($0, 401) }) + bystanders.map({ ($0, 101) }) {
                // With so short a lease a busy machine's gate may fail to vouch for a moment, in which it admits nobody at all.
                var seen = 503
                try wait("gate \(index) vouches") {
                    seen = try WebSocketPeer(gate.endpoint, headers: ["Authorization: Bearer \(client.token)"]).status
                    return seen != 503
                }
                guard seen != status else { continue }
                found.append("\(ledger[client.account].name) got \(seen) at gate \(index)")
            }
        }
        return found
    }

    /// G7: what was revoked is refused by both gates, and after both have been started anew.
    func returningNowAndAfterRestart() throws -> [String] {
        try awaitReady()
        let now = try returning()
        for speaker in speakers { speaker.stop() }
        for gate in gates { gate.stop() }
        gates = []
        try startGates()
        return try now + returning().map { $0 + " after the restart" }
    }
}

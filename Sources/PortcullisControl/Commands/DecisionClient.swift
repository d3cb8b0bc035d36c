import Foundation
public import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
public import PortcullisRedis
import PortcullisWire

/// Sends decisions to all gates, and waits for what they say. It talks to Redis, not to a gate.
public struct DecisionClient {
    private let connection: BlockingConnection
    private let keys: Keys
    private let roles: RoleOrder
    private let policy: AppendScript.Policy
    private let lease: Milliseconds
    /// nil where events need no signature.
    private let eventKey: EventKey?
    /// How many replicas should have what is appended; 0: it is not asked.
    public let waitReplicas: Int

    public init(_ connection: BlockingConnection, _ settings: Settings) throws(StartupError) {
        self.connection = connection
        keys = Keys(prefix: settings.redis.prefix)
        roles = try GateAssembly.roles(settings)
        policy = GateAssembly.appendPolicy(settings)
        lease = settings.guarantee.lease.inMilliseconds
        waitReplicas = settings.redis.waitReplicas
        eventKey = try EventSecret.key(settings).map { EventKey($0) }
    }

    /// What became of a decision.
    public enum Sent: Equatable, Sendable {
        /// In the log, at this position; or known there already. `replicas` have it, where that was asked for.
        case logged(position: String, sharedKeyFailure: String?, replicas: Replicas?)
        /// Published to so many gates; it is not of a kind that is logged.
        case published(gates: Int64)
        /// A `permit` that is older than what is stored: nothing changed.
        case stale(version: String)
    }

    /// Sends an event.
    public func send(_ event: Event) throws -> Sent {
        guard let id = event.id else { throw StartupError("An event needs an id.") }
        var json = EventCodec.encode(event, roles: roles)
        if let eventKey { json = try eventKey.sign(json) }
        guard json.count <= EventCodec.maximumBytes else {
            throw StartupError("The event is larger than 64 KiB: shorten its data or message.")
        }
        guard event.decision.isLogged else {
            let reply = try connection.ask(Command([Array("PUBLISH".utf8), Array(keys.events.utf8), json]))
            if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
            return .published(gates: reply.integer ?? 0)
        }
        let epoch = String(UInt64.random(in: .min ... .max), radix: 16)
        let command = AppendScript.command(event, json: json, id: id, epoch: epoch, keys: keys, policy: policy)
        let (answer, replicas) = try append(command)
        switch answer {
        case .appended(let position, _, let failure):
            return .logged(position: position, sharedKeyFailure: failure, replicas: replicas)
        case .repeated(let position, _): return .logged(position: position, sharedKeyFailure: nil, replicas: replicas)
        case .stale(let version): return .stale(version: version)
        case .refused(let error): throw StartupError(LinkMachine.sentence(error))
        }
    }

    /// Appends, and has Redis wait for the replicas in the same write.
    private func append(_ command: Command) throws -> (AppendScript.Answer, Replicas?) {
        guard waitReplicas > 0 else { return (AppendScript.Answer(try connection.ask(command)), nil) }
        let wait = WaitCommand.command(waitReplicas, patience: Self.replicaPatience)
        let replies = try connection.ask([command, wait], extra: Int(Self.replicaPatience.count))
        let count = replies[1].integer.map { Replicas.counted(Int(clamping: $0)) }
        return (AppendScript.Answer(replies[0]), count ?? .unknown(replies[1].errorText ?? "no number"))
    }

    /// A replica that takes longer than that is not one to count on.
    private static let replicaPatience = Milliseconds(1000)

    /// How many replicas had a decision in time.
    public enum Replicas: Equatable, Sendable {
        case counted(Int)
        /// Redis' words.
        case unknown(String)
    }

    // MARK: - Receipts

    /// The gates of this Redis, by the age of their heartbeat.
    public struct Nodes: Equatable, Sendable {
        /// Heard within two leases.
        public var live: [String] = []
        /// Not heard for longer: by the guarantee they pass nothing.
        public var frozen: [String] = []

        public init() {}
    }

    public func nodes() throws -> Nodes {
        var nodes = Nodes()
        for (name, age) in try heartbeats() {
            if isFrozen(age) { nodes.frozen.append(name) } else { nodes.live.append(name) }
        }
        return nodes
    }

    /// What one gate says of itself.
    public struct NodeReport: Equatable, Sendable {
        public var name: String
        public var isFrozen: Bool
        /// The age of its last heartbeat, by Redis' clock.
        public var heardMilliseconds: Int64
        /// `P:node:<name>`.
        public var fields: [String: String]
    }

    /// All gates with what they say of themselves, in the order of their names.
    public func nodeReports() throws -> [NodeReport] {
        let heartbeats = try heartbeats().sorted { $0.name < $1.name }
        let replies = try connection.ask(heartbeats.map { Command("HGETALL", keys.node($0.name)) })
        return zip(heartbeats, replies).map { heartbeat, reply in
            let texts = reply.array?.compactMap(\.text) ?? []
            var fields: [String: String] = [:]
            for index in stride(from: 0, to: texts.count - 1, by: 2) { fields[texts[index]] = texts[index + 1] }
            return NodeReport(
                name: heartbeat.name,
                isFrozen: isFrozen(heartbeat.age),
                heardMilliseconds: max(0, heartbeat.age),
                fields: fields
            )
        }
    }

    private func isFrozen(_ age: Int64) -> Bool {
        age >= lease.count.multipliedClamped(by: 2)
    }

    /// The gates and how long ago each was heard, by Redis' clock.
    private func heartbeats() throws -> [(name: String, age: Int64)] {
        let replies = try connection.ask([Command("TIME"), Command("ZRANGE", keys.nodes, "0", "-1", "WITHSCORES")])
        let time = replies.first?.array?.compactMap { $0.text.flatMap { Int64($0) } } ?? []
        guard replies.count == 2, time.count == 2, let pairs = replies[1].array else {
            throw StartupError(LinkMachine.sentence(replies.lazy.compactMap(\.errorText).first ?? "no list"))
        }
        let now = time[0].multipliedClamped(by: 1000).addingClamped(time[1] / 1000)
        return stride(from: 0, to: pairs.count - 1, by: 2).compactMap { index in
            guard let name = pairs[index].text, let score = pairs[index + 1].text.flatMap({ Double($0) }),
                score.isFinite, abs(score) < 1e15
            else { return nil }
            return (name, now.subtractingClamped(Int64(score)))
        }
    }

    /// Waits until every live gate has answered, or for so long.
    public func receipts(for event: Identifier, nodes: Nodes, wait: Duration) throws -> [Receipt] {
        let deadline = Clock.boot() + wait.inMilliseconds.count * 1_000_000
        var receipts: [Receipt] = []
        while receipts.count < nodes.live.count {
            let left = Double(deadline - Clock.boot()) / 1e9
            guard left > 0 else { break }
            let seconds = String(format: "%.3f", max(0.01, left))
            let key = keys.acknowledgements(event)
            let reply = try connection.ask(
                Command([Array("BLPOP".utf8), key, Array(seconds.utf8)]),
                extra: Int(left * 1000)
            )
            guard let json = reply.array?.last?.bytes else { break }
            if let receipt = try? JSONDecoder().decode(Receipt.self, from: Data(json)) { receipts.append(receipt) }
        }
        return receipts
    }

    /// What one gate did.
    public struct Receipt: Codable, Equatable, Sendable {
        public var node: String
        public var matched: Int
        public var closed: Int
        public var narrowed: Int
        public var spared: Int
        /// From its read of the event to its last close frame, in µs.
        public var us: Int64
    }

    // MARK: - Queries

    /// What the gates answered to a question.
    public struct Found {
        /// A JSON object for each connection.
        public var rows: [[String: Any]] = []
        public var silent: [String] = []
        /// How many matched but for `except`.
        public var spared = 0
        /// How long it took, in µs.
        public var microseconds: Int64 = 0
        /// Whether there are more than were asked for.
        public var isCut = false
    }

    /// Asks all live gates which connections match.
    public func connections(
        _ select: Selector,
        except: Selector? = nil,
        limit: Int = 10_000,
        wait: Duration = .seconds(2)
    ) throws -> Found {
        let began = Clock.boot()
        let nodes = try nodes()
        let id = EventID.make(at: WallTime(milliseconds: Clock.wall()))
        let question = ControlMessage.connections(id: id, select: select, except: except, limit: limit).encode()
        for node in nodes.live {
            let channel = Array(keys.control(node).utf8)
            _ = try connection.ask(Command([Array("PUBLISH".utf8), channel, question]))
        }
        var found = Found()
        var waiting = Set(nodes.live)
        let deadline = Clock.boot() + wait.inMilliseconds.count * 1_000_000
        while !waiting.isEmpty {
            let left = Double(deadline - Clock.boot()) / 1e9
            guard left > 0 else { break }
            let command = Command([
                Array("BLPOP".utf8), keys.reply(id), Array(String(format: "%.3f", max(0.01, left)).utf8),
            ])
            guard let json = try connection.ask(command, extra: Int(left * 1000)).array?.last?.bytes else { break }
            guard let answer = try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any] else { continue }
            if let node = answer["node"] as? String { waiting.remove(node) }
            found.rows += answer["connections"] as? [[String: Any]] ?? []
            found.spared += answer["spared"] as? Int ?? 0
            if answer["more"] as? Bool == true { found.isCut = true }
        }
        found.silent = waiting.sorted()
        found.microseconds = (Clock.boot() - began) / 1000
        return found
    }
}

import ArgumentParser
import Foundation
import PortcullisClient
import PortcullisControl
import PortcullisCore

/// What all commands take that send a decision.
struct DecisionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Wait so long for every gate's receipt, such as 2s.", valueName: "time")) var wait: Span?
    @Flag(help: "Change nothing: count the connections that would match.") var dryRun = false
    @Flag(help: "Print one JSON object.") var json = false
    @Option(help: "Why, for the log.") var reason: String?
}

/// Sends a decision and says what became of it.
struct DecisionRun {
    let common: CommonOptions
    let options: DecisionOptions
    var message: String?

    func run(_ what: String, select: Selector?, except: Selector? = nil, _ decision: Decision) throws {
        let settings = try common.settings()
        let client = try DecisionClient(try common.connect(settings), settings)
        if options.dryRun {
            guard let select else { throw CommandFailure.usage("--dry-run needs a selector.") }
            return try withRedis { try dryRun(client, what, select, except) }
        }
        try withRedis { try send(client, what, decision) }
    }

    private func dryRun(_ client: DecisionClient, _ what: String, _ select: Selector, _ except: Selector?) throws {
        let nodes = try client.nodes()
        let found = try client.connections(
            select,
            except: except,
            limit: 100_000,
            wait: options.wait?.duration ?? .seconds(2)
        )
        if options.json {
            try CommandOutput.json([
                "dry_run": true, "event": NSNull(), "id": NSNull(), "matched": found.rows.count, "closed": 0,
                "narrowed": 0, "spared": found.spared, "slowest_us": 0, "elapsed_us": found.microseconds,
                "nodes": [[String: Any]](), "silent": found.silent, "frozen": nodes.frozen,
            ])
        } else {
            CommandOutput.line("dry run: \(what) would reach \(count(found.rows.count)); nothing was changed")
        }
        try failIfSilent(found.silent, logged: false)
    }

    private func send(_ client: DecisionClient, _ what: String, _ decision: Decision) throws {
        let now = Date().timeIntervalSince1970 * 1000
        let time = WallTime(milliseconds: Int64(now))
        let id = EventID.make(at: time)
        let event = Event(
            id: id,
            decision: decision,
            at: time,
            actor: "cli:\(NSUserName())",
            reason: options.reason,
            message: message,
            wantsReceipt: options.wait != nil
        )
        // Asked before the decision, so that no gate that answers it is missing.
        let nodes = options.wait == nil ? DecisionClient.Nodes() : try client.nodes()
        let clock = ContinuousClock()
        let began = clock.now
        let sent = try client.send(event)
        var position = ""
        var replicas: DecisionClient.Replicas?
        switch sent {
        case .stale(let version):
            throw CommandFailure(
                code: 2,
                sentence: "The permission is stale: version \(version) is stored already. Nothing was changed."
            )
        case .logged(let at, let failure, let known):
            position = at
            replicas = known
            warn(replicas, asked: client.waitReplicas)
            if let failure { CommandOutput.warn("the shared key could not be written: \(failure)") }
        case .published(let gates):
            if gates == 0 { CommandOutput.warn("no gate heard it: none is connected to this Redis.") }
        }
        guard let wait = options.wait else {
            if options.json {
                let fields: [String: Any] = ["event": id.description, "id": position.isEmpty ? NSNull() : position]
                try CommandOutput.json(fields.merging(replicas.fields) { $1 })
            } else {
                let place = position.isEmpty ? "" : " · log \(position)"
                CommandOutput.line("\(what) · event \(id)" + place + replicas.words)
            }
            return
        }
        let receipts = try client.receipts(for: id, nodes: nodes, wait: wait.duration)
        let elapsed = (clock.now - began) / .microseconds(1)
        try show(what, id.description, position, replicas, receipts, nodes, Int(elapsed))
    }

    private func show(
        _ what: String,
        _ event: String,
        _ position: String,
        _ replicas: DecisionClient.Replicas?,
        _ receipts: [DecisionClient.Receipt],
        _ nodes: DecisionClient.Nodes,
        _ elapsed: Int
    ) throws {
        let answered = Set(receipts.map(\.node))
        let silent = nodes.live.filter { !answered.contains($0) }.sorted()
        let closed = receipts.reduce(0) { $0 + $1.closed }
        let matched = receipts.reduce(0) { $0 + $1.matched }
        let slowest = receipts.map(\.us).max() ?? 0
        if options.json {
            let fields: [String: Any] = [
                "event": event, "id": position.isEmpty ? NSNull() : position, "matched": matched, "closed": closed,
                "narrowed": receipts.reduce(0) { $0 + $1.narrowed }, "spared": receipts.reduce(0) { $0 + $1.spared },
                "slowest_us": slowest, "elapsed_us": elapsed,
                "nodes": receipts.map { ["node": $0.node, "matched": $0.matched, "closed": $0.closed, "us": $0.us] },
                "silent": silent, "frozen": nodes.frozen.sorted(),
            ]
            try CommandOutput.json(fields.merging(replicas.fields) { $1 })
        } else {
            CommandOutput.line(
                "\(what) · \(count(matched)) matched, \(closed) closed, on \(receipts.count) gates · slowest \(slowest) µs, in all \(elapsed) µs · event \(event)\(replicas.words)"
            )
            if !nodes.frozen.isEmpty {
                CommandOutput.line("frozen, and so passing nothing: \(nodes.frozen.sorted().joined(separator: ", "))")
            }
        }
        try failIfSilent(silent, logged: !position.isEmpty)
    }

    /// The decision stands on the primary all the same, so this is no failure.
    private func warn(_ replicas: DecisionClient.Replicas?, asked: Int) {
        switch replicas {
        case .counted(let count) where count < asked:
            CommandOutput.warn(
                "\(count) of \(asked) replicas had it within a second: a failover now may lose it (redis.wait_replicas)."
            )
        case .unknown(let error): CommandOutput.warn("it is not known how many replicas have it: \(error)")
        default: break
        }
    }

    private func failIfSilent(_ silent: [String], logged: Bool) throws {
        guard !silent.isEmpty else { return }
        let names = PlainText.clean(silent.joined(separator: ", "), limit: 500)
        throw CommandFailure(
            code: 4,
            sentence: "No answer in time from: \(names)."
                + (logged ? " The decision stands in the log all the same, and every gate must read it." : "")
        )
    }

    private func count(_ number: Int) -> String {
        number == 1 ? "1 connection" : "\(number) connections"
    }
}

extension DecisionClient.Replicas? {
    /// What a receipt says of it.
    fileprivate var fields: [String: Any] {
        switch self {
        case .counted(let count): ["replicas": count]
        case .unknown: ["replicas": NSNull()]
        case nil: [:]
        }
    }

    fileprivate var words: String {
        if case .counted(let count) = self { " · on \(count) replicas" } else { "" }
    }
}

extension Selector {
    /// The selector in words for a line of output.
    var words: String {
        if all && ids.isEmpty { return "everybody" }
        var parts = Identity.Field.allCases.compactMap { field in ids[field].map { "\(field) \($0)" } }
        if let network { parts.append("address \(network)") }
        if let connection { parts.append("connection \(connection)") }
        if let resource { parts.append("on \(resource)") }
        if let role { parts.append("as \(role)") }
        return PlainText.clean(parts.joined(separator: ", "), limit: 300)
    }
}

import ArgumentParser
import PortcullisRedis

/// What it costs to close everybody at once: one published revocation against the floor's two ways to close.
struct MassScenario {
    let session: Session

    /// What one closing took.
    private struct Closing {
        /// µs of the server's CPU for each connection.
        var cost: Double
        /// The client's share of its core until all were closed.
        var client: Double
        /// From the order to the last close frame, in ms.
        var elapsed: Double
        /// The longest that a connection which is spared waited for a pong meanwhile, in ms.
        var wait = 0.0
    }

    func run() throws -> [Row] {
        let floor = try session.startFloor()
        let gate = try session.startGate()
        let redis = try RedisSocket(session.redisPath)
        var hard: [(gate: Closing, floor: Closing)] = []
        var half: [(gate: Closing, floor: Closing)] = []
        for round in 0...session.rounds {
            let atOnce = try measure(floor, "floor") { floor.tell(Floor.Order.closeAll) }
            let halfClosed = try measure(floor, "floor, half-close") { floor.tell(Floor.Order.halfCloseAll) }
            // Another payload each time: one that was published before is the same event.
            let spared = try session.passports(1)
            let echo = try Echo(spared, to: gate.port)
            let selectors = #""select":{"all":true},"except":{"user":"\#(spared.users[0])"}"#
            let event = #"{"v":1,"type":"revoke",\#(selectors),"reason":"bench-\#(round)"}"#
            let command = RedisSocket.encode(["PUBLISH", Keys().events, event])
            let revoked = try measure(gate, "gate", beside: echo) {
                try redis.write(command)
                try redis.skipAnswer()
                try echo.sendPing()
            }
            guard round > 0 else { continue }
            hard.append((gate: revoked, floor: atOnce))
            half.append((gate: revoked, floor: halfClosed))
        }
        let share = Report.digits(half.map(\.gate.client).median * 100, 0)
        return [
            row("revoke all, CPU, against closing at once", hard, 1.3),
            row("revoke all, CPU, against half-closing", half, nil),
            Row(
                scenario: "mass",
                what: "publish → last close frame",
                unit: "ms",
                floor: half.map(\.floor.elapsed).median,
                gate: half.map(\.gate.elapsed).median,
                note: "\(session.connections) connections"
            ),
            Row(
                scenario: "mass",
                what: "longest echo of another client meanwhile",
                unit: "ms",
                gate: half.map(\.gate.wait).median,
                target: 10,
                note:
                    "median of \(half.count); worst \(Report.digits(half.map(\.gate.wait).max() ?? 0, 2)); core share of the client \(share) %"
            ),
        ]
    }

    private func row(_ what: String, _ pairs: [(gate: Closing, floor: Closing)], _ target: Double?) -> Row {
        Row(
            scenario: "mass",
            what: what,
            unit: "µs",
            floor: pairs.map(\.floor.cost).median,
            gate: pairs.map(\.gate.cost).median,
            ratio: Ratio(pairs.map { (gate: $0.gate.cost, floor: $0.floor.cost) }),
            target: target
        )
    }

    private func measure(
        _ server: Child,
        _ name: String,
        beside echo: Echo? = nil,
        _ order: () throws -> Void
    ) throws -> Closing {
        let client = try session.client()
        // Tokens from before the last revocation would be refused.
        let passports = try session.passports(session.connections)
        _ = try client.open(passports, to: server.port, window: session.window)
        try server.settle()
        let before = try server.processorTime()
        let began = Machine.now()
        let own = Machine.ownTime()
        try order()
        let ending = try client.awaitClosing(beside: echo)
        let share = Double(Machine.ownTime() - own) / Double(Machine.now() - began)
        try server.settle()
        let used = Double(try server.processorTime() - before)
        guard ending.withFrame == ending.closed else {
            throw BenchFailure("\(ending.closed - ending.withFrame) of \(ending.closed) saw no close frame (\(name)).")
        }
        let closing = Closing(
            cost: used / Double(ending.closed) / 1000,
            client: share,
            elapsed: Double(ending.lastFrame - began) / 1e6,
            wait: Double(echo?.longest ?? 0) / 1e6
        )
        let digits = Report.digits
        progress("mass \(name): \(digits(closing.cost, 2)) µs each, all told in \(digits(closing.elapsed, 1)) ms")
        return closing
    }
}

/// `portcullis-bench mass`
struct MassCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mass",
        abstract: "The server's CPU for each connection of a mass revocation."
    )

    @OptionGroup var options: ScenarioOptions

    func run() throws {
        let session = try Session(options)
        try session.show(MassScenario(session: session).run())
    }
}

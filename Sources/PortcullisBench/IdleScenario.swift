import ArgumentParser

/// What a gate uses of a core for connections that say nothing: a ping and its pong in each heartbeat.
struct IdleScenario {
    let session: Session
    /// Seconds between heartbeats.
    let heartbeat: Int

    /// What the target is for.
    private static let connections = 19_000
    private static let standard = 25
    /// Over how many heartbeats is measured.
    private static let beats = 2

    init(session: Session) {
        self.session = session
        heartbeat = session.isQuick ? 2 : Self.standard
    }

    func run() throws -> [Row] {
        let gate = try session.startGate(heartbeat: heartbeat)
        let client = try session.client()
        let nanoseconds = UInt64(heartbeat * Self.beats) * 1_000_000_000
        progress("idle: a gate with nobody connected for \(heartbeat * Self.beats) s")
        let alone = try share(gate, client, nanoseconds)
        let count = session.connections
        _ = try client.open(session.passports(count), to: gate.port, window: session.window)
        try gate.settle()
        progress("idle: \(count) connections for \(heartbeat * Self.beats) s, a heartbeat each \(heartbeat) s")
        let used = Machine.ownTime()
        let full = try share(gate, client, nanoseconds)
        let own = Double(Machine.ownTime() - used) / Double(nanoseconds)
        guard client.count == count else { throw BenchFailure("\(count - client.count) idle connections were closed.") }
        let pings = client.pings
        guard pings >= count else { throw BenchFailure("Only \(pings) pings came to \(count) connections.") }
        // Of heartbeats that follow faster each costs what it costs; there are only more of them.
        let scaled = alone + max(0, full - alone) * Double(heartbeat) / Double(Self.standard)
        let digits = Report.digits
        var note = "with nobody connected \(digits(alone * 100, 2)); \(pings) pings; client \(digits(own * 100, 1))"
        if heartbeat != Self.standard {
            note += "; extrapolated from \(digits(full * 100, 2)) with heartbeats each \(heartbeat) s"
        }
        return [
            Row(
                scenario: "idle",
                what: "\(count) connections, a heartbeat each \(Self.standard) s",
                unit: "% of a core",
                gate: scaled * 100,
                // Of fewer connections less is asked for.
                target: count >= Self.connections ? 1 : nil,
                note: note
            )
        ]
    }

    /// The gate's share of a core over a time.
    private func share(_ gate: Child, _ client: LoadClient, _ nanoseconds: UInt64) throws -> Double {
        let began = Machine.now()
        let before = try gate.processorTime()
        client.keep(until: began + nanoseconds)
        return Double(try gate.processorTime() - before) / Double(Machine.now() - began)
    }
}

/// `portcullis-bench idle`
struct IdleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "What a gate uses of a core for connections that say nothing."
    )

    @OptionGroup var options: ScenarioOptions

    func run() throws {
        let session = try Session(options)
        try session.show(IdleScenario(session: session).run())
    }
}

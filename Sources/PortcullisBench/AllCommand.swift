import ArgumentParser

/// `portcullis-bench all`
struct AllCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "all", abstract: "All scenarios, one after the other.")

    @OptionGroup var options: ScenarioOptions

    @Option(help: "How many handshakes are begun in a second in their second run, and in a reconnect storm.")
    var rate = 8000

    func run() throws {
        let session = try Session(options)
        var rows: [Row] = []
        for credential in HandshakeScenario.Credential.all {
            rows += try HandshakeScenario(session: session, credential: credential).run()
        }
        rows += try HandshakeScenario(session: session, rate: rate).run()
        rows += try GrowthScenario(session: session).run()
        rows += try MemoryScenario(session: session).run()
        rows += try IdleScenario(session: session).run()
        rows += try LatencyScenario(session: session).run()
        rows += try LatencyScenario(session: session, storm: rate).run()
        rows += try MassScenario(session: session).run()
        rows += try FanoutScenario(session: session, rate: 100).run()
        rows += try SoakScenario(session: session, rounds: session.isQuick ? 10 : 100).run()
        rows += try ReplicaScenario(session: session, decisions: session.isQuick ? 20_000 : 1_000_000).run()
        try session.show(rows)
    }
}

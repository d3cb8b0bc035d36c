import ArgumentParser

/// `portcullis-bench all`
struct AllCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "all", abstract: "All scenarios, one after the other.")

    @OptionGroup var options: ScenarioOptions

    @Option(help: "The second run of the handshakes: how many are begun in a second.")
    var rate = 8000

    func run() throws {
        let session = try Session(options)
        var report = Report()
        report.rows += try HandshakeScenario(session: session, rate: 0).run()
        report.rows += try HandshakeScenario(session: session, rate: rate).run()
        report.rows += try MemoryScenario(session: session).run()
        report.rows += try LatencyScenario(session: session).run()
        report.rows += try MassScenario(session: session).run()
        try report.print(json: options.json)
    }
}

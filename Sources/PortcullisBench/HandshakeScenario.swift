import ArgumentParser

/// What a handshake costs the server: floor and gate in turn, with the very same requests.
struct HandshakeScenario {
    /// A round of one server.
    private struct Round {
        /// µs of the server's CPU for each handshake.
        var cost: Double
        var rate: Double
        /// Shares of a core.
        var server: Double
        var client: Double
    }

    let session: Session
    /// Handshakes begun in a second; 0: as fast as the window lets.
    let rate: Int

    func run() throws -> [Row] {
        let floor = try session.startFloor()
        let gate = try session.startGate()
        var rounds: [(floor: Round, gate: Round)] = []
        for round in 0...session.rounds {
            let passports = try session.passports(session.connections)
            // Who goes first changes, so that neither always meets the caches that the other left.
            let first = try measure(round % 2 == 0 ? floor : gate, passports)
            let second = try measure(round % 2 == 0 ? gate : floor, passports)
            let pair = round % 2 == 0 ? (floor: first, gate: second) : (floor: second, gate: first)
            let name = round == 0 ? "warm-up" : "round \(round)"
            progress("\(title) \(name): floor \(text(pair.floor)) | gate \(text(pair.gate))")
            if round > 0 { rounds.append(pair) }
        }
        return [
            Row(
                scenario: title,
                what: "HS256, CPU",
                unit: "µs",
                floor: rounds.map(\.floor.cost).median,
                gate: rounds.map(\.gate.cost).median,
                ratio: Ratio(rounds.map { (gate: $0.gate.cost, floor: $0.floor.cost) }),
                target: 1.25,
                note: note(rounds)
            )
        ]
    }

    private var title: String {
        rate > 0 ? "handshake \(rate)/s" : "handshake"
    }

    private func measure(_ server: Child, _ passports: Passports) throws -> Round {
        let client = try session.client()
        try server.settle()
        let before = try server.processorTime()
        let opening = try client.open(passports, to: server.port, window: session.window, rate: rate)
        try server.settle()
        let used = Double(try server.processorTime() - before)
        client.closeAll(abruptly: true)
        try server.settle()
        let elapsed = Double(opening.elapsed)
        let count = Double(opening.count)
        return Round(
            cost: used / count / 1000,
            rate: count / elapsed * 1e9,
            server: used / elapsed,
            client: Double(opening.used) / elapsed
        )
    }

    private func text(_ round: Round) -> String {
        let digits = Report.digits
        return "\(digits(round.cost, 2)) µs, \(digits(round.rate, 0))/s, server \(digits(round.server * 100, 0)) %, "
            + "client \(digits(round.client * 100, 0)) %"
    }

    private func note(_ rounds: [(floor: Round, gate: Round)]) -> String {
        let share = { (values: [Double]) in Report.digits(values.median * 100, 0) }
        return "core shares: floor \(share(rounds.map(\.floor.server))) %, gate \(share(rounds.map(\.gate.server))) %, "
            + "client \(share(rounds.map(\.floor.client)))/\(share(rounds.map(\.gate.client))) %"
    }
}

/// `portcullis-bench handshake`
struct HandshakeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handshake",
        abstract: "The server's CPU for a handshake."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "Handshakes begun in a second; 0: as fast as the window lets.")
    var rate = 0

    func run() throws {
        try Report(rows: HandshakeScenario(session: Session(options), rate: rate).run()).print(json: options.json)
    }
}

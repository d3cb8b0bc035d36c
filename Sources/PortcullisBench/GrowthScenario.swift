import ArgumentParser

/// Whether a connection costs more among many: CPU of its handshake and bytes, among the first thousand and among the last.
struct GrowthScenario {
    /// What a connection costs among few and among many.
    private struct Cost {
        var few = 0.0
        var many = 0.0

        var pair: (gate: Double, floor: Double) {
            (gate: many, floor: few)
        }
    }

    let session: Session

    private static let most = 1000

    /// How many the first and the last are: a quarter where there are few.
    private var part: Int {
        min(Self.most, max(1, session.connections / 4))
    }

    func run() throws -> [Row] {
        var floors: [Cost] = []
        var gates: [Cost] = []
        var sizes: [Cost] = []
        for round in 0...session.rounds {
            let floor = try session.startFloor()
            let gate = try session.startGate()
            let client = try session.client()
            // What is made once, by the first connections, is no cost of a connection.
            try fill(client, 64, gate)
            try empty(client, gate)
            let size = try bytes(client, gate)
            try empty(client, gate)
            let other = try session.client()
            try fill(other, session.connections, floor)
            try empty(other, floor)
            let first = try processor(other, floor)
            let second = try processor(client, gate)
            let digits = Report.digits
            progress(
                "growth \(round == 0 ? "warm-up" : "round \(round)"): floor \(digits(first.few, 2)) → "
                    + "\(digits(first.many, 2)) µs, gate \(digits(second.few, 2)) → \(digits(second.many, 2)) µs, "
                    + "\(digits(size.few, 0)) → \(digits(size.many, 0)) B"
            )
            guard round > 0 else { continue }
            floors.append(first)
            gates.append(second)
            sizes.append(size)
        }
        let own = Ratio(floors.map(\.pair))
        return [
            row(
                "CPU of a handshake",
                "µs",
                gates,
                "floor: among the first \(part); the floor itself grows by \(Report.digits(own.mean, 2))"
            ),
            row("bytes of a connection", "B", sizes, "floor: with \(part) connected, where tables have room left"),
        ]
    }

    private func row(_ what: String, _ unit: String, _ costs: [Cost], _ note: String) -> Row {
        Row(
            scenario: "growth",
            what: "\(what), at \(session.connections) against at \(part)",
            unit: unit,
            floor: costs.map(\.few).median,
            gate: costs.map(\.many).median,
            // Where there are so few that they fit into pages which were there before, there is nothing to hold the others against.
            ratio: costs.allSatisfy { $0.few > 0 } ? Ratio(costs.map(\.pair)) : nil,
            target: 1.1,
            note: note
        )
    }

    /// Bytes of each, with few connected and with all.
    private func bytes(_ client: LoadClient, _ server: Child) throws -> Cost {
        let begin = Double(try Machine.residentBytes(of: server.process))
        try fill(client, part, server)
        let few = Double(try Machine.residentBytes(of: server.process))
        try fill(client, session.connections - part, server)
        let many = Double(try Machine.residentBytes(of: server.process))
        return Cost(few: (few - begin) / Double(part), many: (many - begin) / Double(session.connections))
    }

    /// µs of the server's CPU for each handshake, of the first and of the last. The server has had as many connections before, so that
    /// its tables stand.
    private func processor(_ client: LoadClient, _ server: Child) throws -> Cost {
        let few = try fill(client, part, server)
        try fill(client, session.connections - 2 * part, server)
        let many = try fill(client, part, server)
        try empty(client, server)
        return Cost(few: few, many: many)
    }

    /// - Returns: µs of the server's CPU for each handshake.
    @discardableResult
    private func fill(_ client: LoadClient, _ count: Int, _ server: Child) throws -> Double {
        let passports = try session.passports(count)
        try server.settle()
        let before = try server.processorTime()
        _ = try client.open(passports, to: server.port, window: session.window)
        try server.settle()
        return Double(try server.processorTime() - before) / Double(count) / 1000
    }

    private func empty(_ client: LoadClient, _ server: Child) throws {
        client.closeAll(.reset)
        try server.settle()
    }
}

/// `portcullis-bench growth`
struct GrowthCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Whether a connection costs more among many."
    )

    @OptionGroup var options: ScenarioOptions

    func run() throws {
        let session = try Session(options)
        try session.show(GrowthScenario(session: session).run())
    }
}

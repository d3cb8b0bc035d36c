import ArgumentParser

/// What an idle connection holds of the server's memory, and whether connections that are gone leave anything behind.
struct MemoryScenario {
    private struct Sizes {
        var few = 0.0
        var all = 0.0
        var growth = 0.0
        var lateGrowth = 0.0
        var left = 0.0
    }

    let session: Session

    private static let most = 1000
    private static let rounds = 10
    /// A gate gives memory back within seconds of a crowd's end, at most once in ten.
    private static let patience = 12

    /// How many few are: half of all where there are not many.
    private var few: Int {
        min(Self.most, session.connections / 2)
    }

    func run() throws -> [Row] {
        let floor = try measure(try session.startFloor(), "floor")
        let gate = try measure(try session.startGate(), "gate")
        let row = { (what: String, size: KeyPath<Sizes, Double>, target: Double?, note: String?) in
            Row(
                scenario: "memory",
                what: what,
                unit: "B/conn",
                floor: floor[keyPath: size],
                gate: gate[keyPath: size],
                target: target,
                note: note
            )
        }
        return [
            row("idle, \(few) connections", \.few, nil, "tables grow by doubling"),
            row("idle, \(session.connections) connections", \.all, 600, nil),
            row("more after \(Self.rounds) rounds, connected", \.growth, nil, "tables that first grow on the way back"),
            row("of it since round 2", \.lateGrowth, 0, "what goes on growing"),
            row("kept when all have gone for \(Self.patience) s", \.left, nil, "not given back to the kernel"),
        ]
    }

    private func measure(_ server: Child, _ name: String) throws -> Sizes {
        let client = try session.client()
        // What is made once, by the first connection, is no cost of a connection.
        try fill(client, 64, server)
        try empty(client, server)
        let begin = try resident(server)
        var sizes = Sizes()
        try fill(client, few, server)
        sizes.few = (try resident(server) - begin) / Double(few)
        try fill(client, session.connections - few, server)
        let full = try resident(server)
        let count = Double(session.connections)
        sizes.all = (full - begin) / count
        progress("memory \(name): \(sizes.few) B at \(few), \(sizes.all) B at \(session.connections)")
        var settled = 0.0
        for round in 1...Self.rounds {
            try empty(client, server)
            try fill(client, session.connections, server)
            sizes.growth = (try resident(server) - full) / count
            if round == 2 { settled = sizes.growth }
            progress("memory \(name): \(sizes.growth) B more after round \(round)")
        }
        sizes.lateGrowth = sizes.growth - settled
        try empty(client, server)
        progress("memory \(name): nobody is connected, for \(Self.patience) s")
        Machine.sleep(milliseconds: Self.patience * 1000)
        sizes.left = (try resident(server) - begin) / count
        return sizes
    }

    private func fill(_ client: LoadClient, _ count: Int, _ server: Child) throws {
        _ = try client.open(try session.passports(count), to: server.port, window: session.window)
        try server.settle()
    }

    private func empty(_ client: LoadClient, _ server: Child) throws {
        client.closeAll(.orderly)
        try server.settle()
    }

    private func resident(_ server: Child) throws -> Double {
        Double(try Machine.residentBytes(of: server.process))
    }
}

/// `portcullis-bench memory`
struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "The server's resident memory for an idle connection."
    )

    @OptionGroup var options: ScenarioOptions

    func run() throws {
        let session = try Session(options)
        try session.show(MemoryScenario(session: session).run())
    }
}

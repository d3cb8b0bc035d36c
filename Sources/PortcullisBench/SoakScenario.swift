import ArgumentParser

/// Whether connections that come and go in every way leave anything behind: memory or descriptors.
struct SoakScenario {
    let session: Session
    let rounds: Int

    /// So many of a round are given up before they are admitted.
    private static let unfinished = 100
    private static let most = 2000

    func run() throws -> [Row] {
        let count = min(session.connections, Self.most)
        let gate = try session.startGate()
        let client = try session.client()
        try round(client, gate, count)
        let descriptors = try Machine.descriptors(of: gate.process)
        let begin = try Machine.residentBytes(of: gate.process)
        let middle = max(1, rounds / 2)
        var settled = begin
        var resident = begin
        for number in 1...rounds {
            try round(client, gate, count)
            resident = try Machine.residentBytes(of: gate.process)
            if number == middle { settled = resident }
            if number % 10 == 0 || number == rounds {
                progress("soak: after \(number) of \(rounds) rounds \((resident - begin) / 1024) KiB more")
            }
        }
        let more = try moreDescriptors(gate, than: descriptors)
        let passed = (rounds - middle) * (count + Self.unfinished)
        let row = { (what: String, unit: String, value: Double, target: Double?, note: String?) in
            Row(scenario: "soak", what: what, unit: unit, gate: value, target: target, note: note)
        }
        return [
            row("descriptors more after \(rounds) rounds", "files", Double(more), 0, nil),
            row("resident memory more after \(rounds) rounds", "KiB", Double(resident - begin) / 1024, nil, nil),
            row(
                "of it since round \(middle), for each connection that came and went",
                "B",
                passed > 0 ? Double(resident - settled) / Double(passed) : 0,
                0,
                "\(count) a round: a third closed by a frame, by TCP, by a reset; \(Self.unfinished) more before their 101"
            ),
        ]
    }

    /// How many are left over, when what is being closed has had its time: two seconds at most.
    private func moreDescriptors(_ gate: Child, than before: Int) throws -> Int {
        var more = 0
        for _ in 0..<300 {
            more = try Machine.descriptors(of: gate.process) - before
            if more <= 0 { break }
            Machine.sleep(milliseconds: 10)
        }
        return more
    }

    private func round(_ client: LoadClient, _ gate: Child, _ count: Int) throws {
        let passports = try session.passports(count)
        _ = try client.open(passports, to: gate.port, window: session.window)
        for index in 0..<Self.unfinished {
            let descriptor = try Sockets.connect(to: gate.port)
            // Nothing, a part of a request, or all of it: whoever sends that is gone before the answer.
            try passports.withRequest(index % count) { request in
                let part = UnsafeRawBufferPointer(rebasing: request.prefix(index % 3 * request.count / 2))
                if !part.isEmpty { try Sockets.send(descriptor, part) }
            }
            if index % 2 == 0 { Sockets.resetAtClose(descriptor) }
            Sockets.close(descriptor)
        }
        client.closeAll(.mixed)
        try gate.settle()
    }
}

/// `portcullis-bench soak`
struct SoakCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak",
        abstract: "Whether connections that come and go leave anything behind."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "How many times connections come and go.")
    var times = 100

    func run() throws {
        let session = try Session(options)
        try session.show(SoakScenario(session: session, rounds: max(2, session.isQuick ? min(times, 10) : times)).run())
    }
}

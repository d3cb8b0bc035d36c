import ArgumentParser
import PortcullisRedis

/// How long a gate takes to read what stands in Redis when it starts, and what that holds of its memory.
struct ReplicaScenario {
    /// Where the decisions are.
    private enum Place: String, CaseIterable {
        /// Revocations of tokens, which stand in the log.
        case log = "tokens, in the log"
        /// Revocations of users, which stand in the hash of those that outlive it.
        case standing = "users, in the standing decisions"
    }

    let session: Session
    let decisions: Int

    /// What one call of the script writes: a Redis that is busy for longer answers nobody.
    private static let batch = 5000

    func run() throws -> [Row] {
        let redis = try BlockingConnection(RedisURL(place: .path(session.redisPath)), timeout: 60_000)
        let empty = try start().resident
        var rows: [Row] = []
        for place in Place.allCases {
            try fill(redis, place)
            let gate = try start()
            progress(
                "replica, \(place.rawValue): ready after \(gate.seconds) s, \(gate.cpu) s of CPU, \(gate.resident) B"
            )
            let row = { (what: String, unit: String, value: Double, target: Double?) in
                Row(
                    scenario: "replica",
                    what: "\(decisions) \(place.rawValue): \(what)",
                    unit: unit,
                    gate: value,
                    target: target
                )
            }
            rows += [
                row("start to ready", "s", gate.seconds, 3),
                row("its CPU", "s", gate.cpu, nil),
                row("resident, each", "B", (gate.resident - empty) / Double(decisions), 100),
            ]
            _ = try redis.ask(Command("FLUSHALL"))
        }
        return rows
    }

    private func start() throws -> (seconds: Double, cpu: Double, resident: Double) {
        let begin = Machine.now()
        let gate = try session.startGate()
        defer { gate.stop() }
        let seconds = Double(Machine.now() - begin) / 1e9
        let cpu = Double(try gate.processorTime()) / 1e9
        try gate.settle()
        return (seconds, cpu, Double(try Machine.residentBytes(of: gate.process)))
    }

    private func fill(_ redis: BlockingConnection, _ place: Place) throws {
        for first in stride(from: 0, to: decisions, by: Self.batch) {
            let last = min(first + Self.batch, decisions) - 1
            let script = place == .log ? Self.tokens : Self.users
            let keys = Keys()
            let key = place == .log ? keys.log : keys.standing
            let answer = try redis.ask(Command("EVAL", script, "1", key, String(first), String(last)))
            if let error = answer.errorText { throw BenchFailure("Redis could not be filled: \(error)") }
        }
    }

    /// What the append script would have written: ULIDs of the event and a `jti` that is a UUID.
    private static let common = """
        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
          local id = string.format('01JD000000000000%010d', number)

        """

    private static let tokens =
        common + """
              local event = '{"v":1,"event":"' .. id .. '","type":"revoke","at_ms":' .. string.format('%.0f', now)
                .. ',"actor":"admin:ops","reason":"password_changed","select":{"token":"'
                .. string.format('6f1c2a34-58b7-4d0e-9a51-%012x', number) .. '"}}'
              redis.call('XADD', KEYS[1], '*', 'e', event, 'i', id, 'o', string.format('%.0f', now + number % 5000))
            end
            """

    private static let users =
        common + """
              local event = '{"v":1,"event":"' .. id .. '","type":"revoke","at_ms":' .. string.format('%.0f', now)
                .. ',"actor":"admin:ops","reason":"password_changed","select":{"user":"'
                .. string.format('6f1c2a34-58b7-4d0e-9a51-%012x', number) .. '"}}'
              redis.call('HSET', KEYS[1], id,
                '{"o":' .. string.format('%.0f', now + number % 5000) .. ',"event":' .. event .. '}')
            end
            """
}

/// `portcullis-bench replica`
struct ReplicaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replica",
        abstract: "How long a gate takes to start against many standing decisions."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "How many decisions stand.")
    var decisions = 1_000_000

    func run() throws {
        let session = try Session(options)
        let count = options.quick ? min(decisions, 20_000) : decisions
        try session.show(ReplicaScenario(session: session, decisions: max(1, count)).run())
    }
}

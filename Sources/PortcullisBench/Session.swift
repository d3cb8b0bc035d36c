import ArgumentParser
import Glibc
import PortcullisTokens

/// What every scenario is told.
struct ScenarioOptions: ParsableArguments {
    @Option(help: "Connections; fewer where the limit of open files asks for it.")
    var connections = 19_000

    @Option(help: "Rounds that count; one more warms up.")
    var rounds = 5

    @Option(help: "Handshakes under way at once.")
    var window = 128

    @Option(help: "Samples of each latency.")
    var samples = 2000

    @Flag(help: "Few connections, rounds and samples: whether it works, not how fast.")
    var quick = false

    @Flag(inversion: .prefixedNo, help: "The server on core 0, the client on core 1.")
    var pin = true

    @Flag(help: "Results as JSON.")
    var json = false

    @Option(help: ArgumentHelp("Draws the ratios there, in SVG.", valueName: "file.svg"))
    var plot: String?

    func validate() throws {
        guard connections >= Session.least else {
            throw ValidationError(
                "--connections: at least \(Session.least), because some scenarios hold parts against each other."
            )
        }
    }
}

/// The servers, the Redis and the client of one run.
final class Session {
    /// Scenarios take quarters of the connections.
    static let least = 8

    let connections: Int
    let rounds: Int
    let window: Int
    let samples: Int
    let redisPath: String
    private let pin: Bool
    private let files: Int
    private let redis: Child
    private let folder: String
    private var issuers: [Algorithm: Issuer] = [:]
    private let plot: String?
    private let json: Bool
    private let loadBefore = Machine.load()
    let isQuick: Bool

    init(_ options: ScenarioOptions) throws {
        // A peer that is gone is told by an error number, not by a signal that ends the run.
        signal(SIGPIPE, SIG_IGN)
        files = Machine.raiseFileLimit()
        pin = options.pin && sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1
        // Some descriptors are needed for other things, on both sides.
        connections = min(options.quick ? min(2000, options.connections) : options.connections, files - 500)
        guard connections >= Self.least else {
            throw BenchFailure("Only \(files) open files are allowed. Allow more, with: ulimit -n 20000")
        }
        rounds = max(1, options.quick ? min(3, options.rounds) : options.rounds)
        samples = max(1, options.quick ? min(200, options.samples) : options.samples)
        window = max(1, options.window)
        if files - 500 < options.connections, !options.quick {
            progress("\(files) open files are allowed: \(connections) connections instead of \(options.connections)")
        }
        // Before this process is bound to its core: a child inherits that, and Redis may run where it likes.
        redis = try Child(["redis"])
        redisPath = redis.place
        folder = redisPath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
        isQuick = options.quick
        plot = options.plot
        json = options.json
        if pin { try Machine.pin(to: 1) }
    }

    /// The issuer of an algorithm's tokens, the same all along.
    func issuer(_ algorithm: Algorithm) throws -> Issuer {
        if let issuer = issuers[algorithm] { return issuer }
        let issuer = try Issuer(algorithm, in: folder)
        issuers[algorithm] = issuer
        return issuer
    }

    private var core: [String] {
        pin ? ["--core", "0"] : []
    }

    /// - Parameters:
    ///   - channel: one whose messages it writes on to the connection that was accepted last.
    ///   - broadcasts: whether it writes what one connection says to all others.
    func startFloor(relaying channel: String? = nil, broadcasts: Bool = false) throws -> Child {
        let relay = channel.map { ["--channel", $0, "--redis-socket", redisPath] } ?? []
        return try Child(["floor", "--child"] + core + relay + (broadcasts ? ["--broadcast"] : []))
    }

    /// - Parameter heartbeat: in seconds; out of the way unless told otherwise: heartbeats are a scenario of their own.
    func startGate(heartbeat: Int = 3600, _ algorithm: Algorithm = .hs256) throws -> Child {
        try Child(
            ["gate", "--child", "--redis", "unix://\(redisPath)", "--heartbeat", "\(heartbeat)"]
                + issuer(algorithm).options + core
        )
    }

    /// A reconnect storm against a gate, beside the client on its core.
    /// - Parameter rate: handshakes begun in a second.
    func startStorm(on gate: Child, connections: Int, rate: Int) throws -> Child {
        try Child(
            ["storm", "--port", "\(gate.port)", "--connections", "\(connections)", "--rate", "\(rate)"]
                + issuer(.hs256).options + (pin ? ["--core", "1"] : [])
        )
    }

    /// Tells what was measured.
    func show(_ rows: [Row]) throws {
        let conditions = Conditions(
            connections: connections,
            rounds: rounds,
            samples: samples,
            isQuick: isQuick,
            isPinned: pin,
            cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            loadBefore: loadBefore,
            loadAfter: Machine.load()
        )
        try Report(rows: rows, conditions: conditions).print(json: json)
        if let plot { try Plot(rows).write(to: plot) }
    }

    func client() throws -> LoadClient {
        try LoadClient(files: files)
    }

    func passports(
        _ count: Int,
        _ algorithm: Algorithm = .hs256,
        _ wish: Passports.Wish = .init()
    ) throws -> Passports {
        try Passports(count, .token(issuer(algorithm).signer), wish)
    }
}

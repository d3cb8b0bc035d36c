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
}

/// The servers, the Redis and the client of one run.
final class Session {
    let connections: Int
    let rounds: Int
    let window: Int
    let samples: Int
    let signer: TokenSigner
    let redisPath: String
    private let pin: Bool
    private let files: Int
    private let redis: Child
    private let secretFile: String

    init(_ options: ScenarioOptions) throws {
        // A peer that is gone is told by an error number, not by a signal that ends the run.
        signal(SIGPIPE, SIG_IGN)
        files = Machine.raiseFileLimit()
        pin = options.pin && sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1
        // Some descriptors are needed for other things, on both sides.
        connections = min(options.quick ? 2000 : options.connections, files - 500)
        rounds = options.quick ? 3 : max(1, options.rounds)
        samples = options.quick ? 200 : max(1, options.samples)
        window = max(1, options.window)
        if connections < options.connections, !options.quick {
            progress("\(files) open files are allowed: \(connections) connections instead of \(options.connections)")
        }
        // Before this process is bound to its core: a child inherits that, and Redis may run where it likes.
        redis = try Child(["redis"])
        redisPath = redis.place
        let secret = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
        signer = try TokenSigner(SigningKey(secret: secret.span))
        secretFile = try Self.keep(secret, beside: redisPath)
        if pin { try Machine.pin(to: 1) }
    }

    /// Writes the secret where its owner alone can read it; Redis' keeper removes it with the directory.
    private static func keep(_ secret: [UInt8], beside path: String) throws -> String {
        let name = path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/secret"
        let file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw BenchFailure("write \(name)", errno: errno) }
        defer { close(file) }
        // The pointer is used within the call only.
        let count = secret.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard count == secret.count else { throw BenchFailure("write \(name)", errno: errno) }
        return name
    }

    private var core: [String] {
        pin ? ["--core", "0"] : []
    }

    /// - Parameter channel: one whose messages it writes on to the connection that was accepted last.
    func startFloor(relaying channel: String? = nil) throws -> Child {
        let relay = channel.map { ["--channel", $0, "--redis-socket", redisPath] } ?? []
        return try Child(["floor", "--child"] + core + relay)
    }

    /// Its heartbeats are out of the way: they are a scenario of their own.
    func startGate(heartbeat: Int = 3600) throws -> Child {
        try Child(
            ["gate", "--child", "--redis", "unix://\(redisPath)", "--secret-file", secretFile]
                + ["--heartbeat", "\(heartbeat)"] + core
        )
    }

    func client() throws -> LoadClient {
        try LoadClient(files: files)
    }

    func passports(_ count: Int) throws -> Passports {
        try Passports(count, signer)
    }
}

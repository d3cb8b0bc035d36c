import ArgumentParser
import Glibc
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens

/// `portcullis-bench gate`
struct GateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "A gate that admits tokens that the key of a file verifies."
    )

    @OptionGroup var server: ServerOptions

    @Option(help: "unix:///path or redis://host:port.")
    var redis: String

    @Option(help: "The HMAC secret that signs tokens; a file that only its owner can read.")
    var secretFile: String?

    @Option(help: "The public key that verifies tokens, in PEM or as a JWK Set; in place of a secret.")
    var keyFile: String?

    @Option(help: "How many loops the gate has.")
    var loops = 1

    @Option(help: "Seconds between heartbeats.")
    var heartbeat: Int64 = 25

    func run() throws {
        try server.prepare()
        _ = Machine.raiseFileLimit()
        let tokens = try TokenPolicy(issuers: [TokenIssuer(keys: try keys())])
        var configuration = GateConfiguration(
            listen: .tcp(address: "127.0.0.1", port: try server.port()),
            loops: loops,
            node: "bench",
            redis: try RedisURL(redis),
            tokens: tokens
        )
        configuration.heartbeat = .seconds(heartbeat)
        // Descriptors end before this does.
        configuration.connections = 1 << 20
        // What the gate can do is measured, not what it allows.
        configuration.rates = ConnectionRates(messages: 0, bytes: 0, control: 0)
        let gate = try Gate(configuration, report: Self.tell)
        try awaitReady(gate)
        ServerOptions.announce("\(gate.endpoint)")
        waitForEnd()
    }

    private func keys() throws -> KeySet {
        switch (secretFile, keyFile) {
        case (let file?, nil): try KeySet.secretFile(file)
        case (nil, let file?): try KeySet.keyFile(file)
        default: throw ValidationError("A gate needs one of --secret-file and --key-file.")
        }
    }

    private func awaitReady(_ gate: Gate) throws {
        // A replica of millions takes its time; ready within 10 ms of it is exact enough.
        for _ in 0..<6000 {
            if gate.status.isReady { return }
            Machine.sleep(milliseconds: 10)
        }
        throw BenchFailure("The gate was not ready within 60 s.")
    }

    /// The process ends with its standard input, or by a signal; the gate ends with the process.
    private func waitForEnd() {
        guard server.child else {
            while true { pause() }
        }
        var byte: UInt8 = 0
        while read(0, &byte, 1) != 0 {}
    }

    /// What goes wrong is told; what is expected is not.
    private static func tell(_ report: GateReport) {
        switch report {
        case .froze, .freezeLimitReached, .restoring, .redisLost, .sentinelLost, .replicasMissing, .notVouching,
            .eventRejected, .eventNotAdopted, .logEntryRejected, .acceptFailed, .loopFailed, .sessionsLackCreation,
            .sessionsNotRenewed, .roomMessagesRejected, .roomNotPublished, .presenceNotKept, .forwardNotTrusted,
            .forwardUnreadable,
            .full:
            progress("gate: \(report)")
        case .refused(_, let refusal), .refreshRefused(_, _, let refusal): progress("gate: refused \(refusal)")
        case .redisReady, .replication, .vouching, .thawed, .decided, .unknownKey, .keysWithdrawn, .admitted, .closed,
            .stopped:
            break
        }
    }
}

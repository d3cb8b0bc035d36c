import ArgumentParser
import PortcullisTokens

/// `portcullis-bench open`: connections to a server that runs already, such as a gate under a profiler.
struct OpenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open",
        abstract: "Opens connections to a server that was started by hand, and closes them again."
    )

    @Option(help: "The port of the server on 127.0.0.1.")
    var port: UInt16

    @Option(help: "The HMAC secret that the server verifies tokens with.")
    var secretFile: String?

    @Option(help: "The socket of the server's Redis: server sessions are put there and shown instead of tokens.")
    var sessions: String?

    @Flag(help: "The same credentials in every round.")
    var again = false

    @Option(help: "Connections.")
    var connections = 2000

    @Option(help: "How many times.")
    var rounds = 1

    @Option(help: "Handshakes under way at once.")
    var window = 128

    @Option(help: "Handshakes begun in a second; 0: as fast as the window lets.")
    var rate = 0

    func validate() throws {
        guard (secretFile == nil) != (sessions == nil) else {
            throw ValidationError("Say --secret-file or --sessions: what is to be shown.")
        }
    }

    func run() throws {
        let files = Machine.raiseFileLimit()
        let client = try LoadClient(files: files)
        var passports = try makePassports()
        for round in 1...max(1, rounds) {
            if round > 1, !again { passports = try makePassports() }
            let opening = try client.open(passports, to: port, window: window, rate: rate)
            progress("round \(round): \(opening.count) handshakes in \(opening.elapsed / 1_000_000) ms")
            client.closeAll(.orderly)
        }
    }

    private func makePassports() throws -> Passports {
        if let secretFile {
            return try Passports(connections, .token(TokenSigner(SigningKey.secretFile(secretFile))))
        }
        let passports = try Passports(connections, .session)
        if let sessions { try SessionStore(sessions).fill(passports) }
        return passports
    }
}

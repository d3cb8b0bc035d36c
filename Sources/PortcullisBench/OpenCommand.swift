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
    var secretFile: String

    @Option(help: "Connections.")
    var connections = 2000

    @Option(help: "How many times.")
    var rounds = 1

    @Option(help: "Handshakes under way at once.")
    var window = 128

    @Option(help: "Handshakes begun in a second; 0: as fast as the window lets.")
    var rate = 0

    func run() throws {
        let files = Machine.raiseFileLimit()
        let signer = try TokenSigner(SigningKey.secretFile(secretFile))
        let client = try LoadClient(files: files)
        for round in 1...max(1, rounds) {
            let passports = try Passports(connections, .token(signer))
            let opening = try client.open(passports, to: port, window: window, rate: rate)
            progress("round \(round): \(opening.count) handshakes in \(opening.elapsed / 1_000_000) ms")
            client.closeAll(.orderly)
        }
    }
}

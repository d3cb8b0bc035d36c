import ArgumentParser
import Glibc
import PortcullisTokens

/// `portcullis-bench storm`: the same clients lose their connections and come back, again and again, at a pace that does not ask how the
/// server does.
struct StormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "A reconnect storm until standard input ends.",
        discussion: "A byte on standard input asks how many handshakes there have been.",
        shouldDisplay: false
    )

    @Option(help: "The port of the server on 127.0.0.1.")
    var port: UInt16

    @Option(help: "The HMAC secret that the server verifies tokens with.")
    var secretFile: String

    @Option(help: "Connections.")
    var connections = 2000

    @Option(help: "Handshakes begun in a second.")
    var rate = 8000

    @Option(help: "The core to run on.")
    var core: Int?

    func run() throws {
        if let core { try Machine.pin(to: core) }
        let client = try LoadClient(files: Machine.raiseFileLimit())
        let passports = try Passports(connections, .token(TokenSigner(SigningKey.secretFile(secretFile))))
        ServerOptions.announce("127.0.0.1:0")
        var count = 0
        while true {
            count += try client.open(passports, to: port, window: connections, rate: rate, naps: true).count
            client.closeAll(.reset)
            guard isAsked() else { continue }
            var byte: UInt8 = 0
            guard read(STDIN_FILENO, &byte, 1) == 1 else { return }
            write("\(count)\n", to: STDOUT_FILENO)
        }
    }

    private func isAsked() -> Bool {
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&input, 1, 0) > 0
    }
}

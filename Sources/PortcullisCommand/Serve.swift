import ArgumentParser
import Foundation
import PortcullisControl

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a gate.",
        discussion: """
            Without --redis it starts a redis-server of its own in the state directory, and without a key option it makes an HMAC \
            secret there: `portcullis serve` alone is a working gate. SIGTERM ends it in order, SIGHUP reads the \
            configuration again.
            """
    )

    @OptionGroup var common: CommonOptions
    @Option(
        help: ArgumentHelp(
            "Where clients connect to: host:port, [v6]:port or unix:/path (127.0.0.1:8080).",
            valueName: "address"
        )
    )
    var listen: String?
    @Option(help: ArgumentHelp("Where health and readiness are asked (127.0.0.1:8081).", valueName: "address"))
    var admin: String?
    @Option(help: ArgumentHelp("A file whose bytes are the HMAC secret of tokens.", valueName: "file"))
    var jwtSecretFile: String?
    @Option(help: ArgumentHelp("A file with the public key of tokens, in PEM or as a JWK.", valueName: "file"))
    var jwtKey: String?
    @Option(
        help: ArgumentHelp("A JWK Set: a file, or a URL, which is fetched again and again.", valueName: "file-or-url")
    )
    var jwks: String?
    @Option(help: "The issuer that tokens must name.") var issuer: String?
    @Option(help: "The audience that tokens must name.") var audience: String?
    @Option(help: "How many loops (one for each core).") var loops: Int?
    @Option(help: "The gate's name among the gates (host name and pid).") var node: String?
    @Option(help: ArgumentHelp("A certificate, in PEM.", valueName: "file")) var tlsCertificate: String?
    @Option(help: ArgumentHelp("Its key, in PEM.", valueName: "file")) var tlsKey: String?
    @Option(help: "What becomes of raw messages: rooms, echo or off (rooms).") var relay: String?

    func run() async throws {
        let read = common.reader([
            "listen": listen, "admin": admin, "tokens.secret_file": jwtSecretFile, "tokens.key_file": jwtKey,
            "tokens.jwks": jwks, "tokens.issuer": issuer, "tokens.audience": audience,
            "loops": loops.map(String.init), "node": node, "relay": relay,
            "tls.certificates.default.certificate": tlsCertificate, "tls.certificates.default.key": tlsKey,
        ])
        try await GateServer.run(read(), environment: ProcessInfo.processInfo.environment, reread: read)
    }
}

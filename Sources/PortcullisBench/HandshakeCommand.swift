import ArgumentParser
import PortcullisTokens

/// `portcullis-bench handshake`
struct HandshakeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handshake",
        abstract: "The server's CPU for a handshake, by what the client shows."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "Handshakes begun in a second; 0: as fast as the window lets.")
    var rate = 0

    @Option(
        name: .customLong("credential"),
        help:
            "HS256, RS256, ES256, EdDSA, HS256-again, RS256-again, ES256-again, EdDSA-again or session; several: all if none."
    )
    var names: [String] = []

    func run() throws {
        let credentials = try names.isEmpty ? HandshakeScenario.Credential.all : names.map(Self.credential)
        let session = try Session(options)
        try session.show(
            credentials.flatMap { try HandshakeScenario(session: session, credential: $0, rate: rate).run() }
        )
    }

    func validate() throws {
        for name in names { _ = try Self.credential(name) }
    }

    private static func credential(_ name: String) throws -> HandshakeScenario.Credential {
        guard let credential = HandshakeScenario.Credential.all.first(where: { $0.name == name }) else {
            let known = HandshakeScenario.Credential.all.map(\.name).joined(separator: ", ")
            throw ValidationError("There is no credential \(name): known are \(known).")
        }
        return credential
    }
}

extension HandshakeScenario.Credential {
    private static let algorithms = [Algorithm.hs256, .rs256, .es256, .eddsa]

    static let all = algorithms.map(Self.token) + algorithms.map(Self.sameToken) + [.session]

    /// What it is called on the command line.
    var name: String {
        switch self {
        case .token(let algorithm): algorithm.rawValue
        case .sameToken(let algorithm): "\(algorithm.rawValue)-again"
        case .session: "session"
        }
    }
}

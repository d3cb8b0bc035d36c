import ArgumentParser
import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisTokens
import PortcullisWire

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Issue, refresh and verify tokens.",
        subcommands: [TokenIssue.self, TokenGrant.self, TokenRefresh.self, TokenVerify.self]
    )
}

struct TokenIssue: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Print a token, and nothing else.",
        discussion:
            "Without a key option it is signed with the secret that `portcullis serve` made in the state directory."
    )

    @Option(help: "The user: the claim sub.") var user: String
    @Option(help: ArgumentHelp("How long it lives.", valueName: "time")) var ttl: Span?
    @Option(help: ArgumentHelp("Another claim, its value as JSON; may be given again.", valueName: "name=json"))
    var claim: [String] = []
    @OptionGroup var signing: SigningOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let userID = try SelectorOptions.identifier(user, "--user")
        let claims = try claims(userID)
        do throws(KeyError) {
            let token = try TokenSigner(try signing.key(common)).sign(claims)
            CommandOutput.line(String(decoding: token, as: UTF8.self))
        } catch {
            throw CommandFailure.usage(error.description)
        }
    }

    private func claims(_ user: Identifier) throws -> [(name: String, json: [UInt8])] {
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let life = ttl?.duration.inMilliseconds ?? Milliseconds.seconds(900)
        guard life.count > 0 else { throw CommandFailure.usage("--ttl takes a time such as 15m.") }
        var claims: [(name: String, json: [UInt8])] = [
            ("sub", TokenSigner.json(user)), ("iat", TokenSigner.json(now)), ("exp", TokenSigner.json(now + life)),
        ]
        for (name, value) in try ClaimText.read(claim) {
            claims.removeAll { $0.name == name }
            claims.append((name, value))
        }
        return claims
    }
}

struct TokenVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say whether a token is accepted, and why not.",
        discussion: """
            With - every line of standard input is a token and gets one line as its answer. Of a folder every file is a token, in the \
            order of their names. It judges the token itself: whether a decision stands against it only a gate knows. Exit code 0: \
            all accepted; 1: one refused.
            """
    )

    @Argument(help: "A token, a file or a folder of files with one each, or - for one on each line of standard input.")
    var token = "-"
    @Option(help: ArgumentHelp("A file whose bytes are the HMAC secret of tokens.", valueName: "file"))
    var jwtSecretFile: String?
    @Option(help: ArgumentHelp("A file with the public key of tokens, in PEM or as a JWK.", valueName: "file"))
    var jwtKey: String?
    @Option(help: ArgumentHelp("A JWK Set: a file, or a URL, which is fetched once.", valueName: "file-or-url"))
    var jwks: String?
    @Option(help: "The issuer that tokens must name.") var issuer: String?
    @Option(help: "The audience that tokens must name.") var audience: String?
    @Flag(help: "Judge header, key and signature, and leave the claims alone.") var signatureOnly = false
    @Flag(help: "Print one JSON object a token.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let settings = try common.settings([
            "tokens.secret_file": jwtSecretFile, "tokens.key_file": jwtKey, "tokens.jwks": jwks,
            "tokens.issuer": issuer, "tokens.audience": audience,
        ])
        let files = token == "-" ? nil : try TokenFiles(token)
        let judge = try await judge(settings, mayFail: token != "-" && files == nil)
        var allAccepted = true
        if token == "-" {
            try InputLines.read { line in
                let verdict = judge.judge(line)
                allAccepted = allAccepted && verdict.accepted
                try show(verdict)
            }
        } else if let files {
            for file in files.names {
                let verdict = files.verdict(file, judge)
                allAccepted = allAccepted && verdict.accepted
                try show(verdict)
            }
        } else {
            let verdict = judge.judge(Array(token.utf8))
            allAccepted = verdict.accepted
            try show(verdict)
        }
        if !allAccepted { throw ExitCode(1) }
    }

    /// - Parameter mayFail: whether keys that cannot be used end the command; else one answer a token is promised, and each is refused with
    ///   the reason.
    private func judge(_ settings: Settings, mayFail: Bool) async throws -> TokenJudge {
        do {
            let state = try StateDirectory.locate(
                configured: settings.stateDirectory,
                environment: ProcessInfo.processInfo.environment
            )
            let policy = try await TokenKeys.fetch(try TokenKeys.load(settings, state: state))
            return TokenJudge(policy, signatureOnly: signatureOnly)
        } catch let error as StartupError {
            guard !mayFail else { throw error }
            return TokenJudge(unusable: error.description)
        } catch let error as KeysUnavailable {
            return TokenJudge(unusable: error.description)
        }
    }

    private func show(_ verdict: TokenJudge.Verdict) throws {
        CommandOutput.line(json ? verdict.json : verdict.words)
    }
}

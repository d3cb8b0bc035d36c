import ArgumentParser
import PortcullisControl
import PortcullisCore

struct TokenGrant: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grant",
        abstract: "Print an access token and a refresh token, one a line.",
        discussion: """
            The refresh token works once: portcullis token refresh gives the next two. Who uses one that was used before revokes all \
            that descends from the same grant. Key options are those of portcullis token issue.
            """
    )

    @Option(help: "The user: the claim sub.") var user: String
    @Option(help: ArgumentHelp("How long an access token lives (15m).", valueName: "time")) var ttl: Span?
    @Option(help: ArgumentHelp("How long there are new ones (30d).", valueName: "time")) var refreshTtl: Span?
    @Option(
        help: ArgumentHelp("A claim of every access token, as JSON; may be given again.", valueName: "name=json")
    )
    var claim: [String] = []
    @Flag(help: "Print one JSON object (RFC 6749, section 5.1).") var json = false
    @OptionGroup var signing: SigningOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let user = try SelectorOptions.identifier(user, "--user")
        let claims = try ClaimText.read(claim)
        let settings = try common.settings()
        let signer = try signing.signer(common, settings)
        let tokens = try RefreshTokens(try common.connect(settings), settings, signer: signer)
        try TokenPairOutput.show(json: json) {
            try tokens.grant(
                user: user,
                accessLife: ttl?.duration.inMilliseconds ?? .seconds(900),
                refreshLife: refreshTtl?.duration.inMilliseconds
                    ?? min(.seconds(30 * 86_400), settings.sessions.longestLife.inMilliseconds),
                claims: claims
            )
        }
    }
}

struct TokenRefresh: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "refresh",
        abstract: "Use a refresh token up, and print the access token and the refresh token that follow.",
        discussion: """
            With - it is read from standard input, so that it stands in no list of processes. Exit code 1: it is unknown, has expired, or \
            was used before, and then its whole family is revoked. Key options are those of portcullis token issue.
            """
    )

    @Argument(help: "The refresh token, or - for the first line of standard input.") var token = "-"
    @Flag(help: "Print one JSON object (RFC 6749, section 5.1).") var json = false
    @OptionGroup var signing: SigningOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let settings = try common.settings()
        let signer = try signing.signer(common, settings)
        let text = token == "-" ? readLine() ?? "" : token
        let tokens = try RefreshTokens(try common.connect(settings), settings, signer: signer)
        try TokenPairOutput.show(json: json) { try tokens.refresh(Array(text.utf8)) }
    }
}

/// What both commands print.
enum TokenPairOutput {
    static func show(json: Bool, _ make: () throws -> TokenPair) throws {
        do {
            let pair = try withRedis(make)
            CommandOutput.line(json ? pair.json : "\(pair.accessToken)\n\(pair.refreshToken)")
        } catch let refusal as TokenRefusal {
            throw CommandFailure(code: 1, sentence: refusal.description)
        }
    }
}

import ArgumentParser
import PortcullisControl
import PortcullisCore

struct Reauthenticate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the matching users to sign in again, and refuse older sign-ins from now on.",
        discussion:
            """
            Credentials whose auth_time is missing or older than this decision are refused with reauthentication_required.
            Live connections are told, and closed with 4401 after --within unless they have refreshed with a later sign-in.
            """
    )

    @OptionGroup var select: SelectorOptions
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions
    @Option(help: "A sentence for the person.") var message: String?
    @Option(help: ArgumentHelp("A session that is spared.", valueName: "session")) var exceptSession: String?
    @Option(
        help: ArgumentHelp(
            "How long live connections have for it (60s); 0s: they are closed at once.",
            valueName: "time"
        )
    ) var within: Span?

    func run() throws {
        let select = try select.required(namesConnections: false)
        let except = try exceptSession.map {
            Selector(ids: [.session: try SelectorOptions.identifier($0, "--except-session")])
        }
        let within = within?.duration.inMilliseconds ?? .seconds(60)
        guard (0...86_400_000).contains(within.count) else {
            throw CommandFailure.usage("--within takes a time of at most 24h, such as 60s.")
        }
        try DecisionRun(common: common, options: options, message: message).run(
            "asked \(select.words) to sign in again",
            select: select,
            except: except,
            .reauthenticate(select, except: except, within: .seconds((within.count + 999) / 1000))
        )
    }
}

struct Lift: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a decision stand no longer.",
        discussion:
            "The decision is named by its event id, which the command that made it has printed, and portcullis log shows."
    )

    @Argument(help: "The decision's event id.") var event: String
    @OptionGroup var options: DecisionOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let id = try SelectorOptions.identifier(event, "The event id")
        try DecisionRun(common: common, options: options).run("lifted \(id)", select: nil, .lift(event: id))
    }
}

import ArgumentParser
import PortcullisControl

struct TicketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ticket",
        abstract: "Make one-time tickets.",
        subcommands: [TicketMintCommand.self]
    )
}

struct TicketMintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mint",
        abstract: "Print a ticket, and nothing else.",
        discussion: "It opens one connection within 30 s, as ?ticket=… on any gate, and is used up by the attempt."
    )

    @Option(help: "The user.") var user: String
    @Option(help: "The one resource that it opens.") var resource: String?
    @OptionGroup var common: CommonOptions

    func run() throws {
        let userID = try SelectorOptions.identifier(user, "--user")
        let place = try resource.map { try SelectorOptions.identifier($0, "--resource") }
        let settings = try common.settings()
        let connection = try common.connect(settings)
        CommandOutput.line(
            try withRedis { try TicketMint.mint(user: userID, resource: place, connection, settings) }
        )
    }
}

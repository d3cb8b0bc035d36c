import ArgumentParser
import Foundation
import PortcullisClient
import PortcullisControl
import PortcullisCore

struct SessionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "Create, show and end server sessions.",
        subcommands: [SessionCreate.self, SessionShow.self, SessionEnd.self]
    )
}

struct SessionCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a session of a user and print its id, and nothing else."
    )

    @Option(help: "The user.") var user: String
    @Option(help: ArgumentHelp("How long it lives.", valueName: "time")) var ttl: Span?
    @Option(
        help: ArgumentHelp(
            "Another field: JSON where it is JSON, else a text; may be given again.",
            valueName: "name=value"
        )
    )
    var field: [String] = []
    @OptionGroup var common: CommonOptions

    func run() throws {
        _ = try SelectorOptions.identifier(user, "--user")
        var fields: [String: Any] = [:]
        for text in field {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw CommandFailure.usage("--field takes name=value.")
            }
            let value = String(text[text.index(after: equals)...])
            let json = try? JSONSerialization.jsonObject(with: Data(value.utf8), options: [.fragmentsAllowed])
            fields[String(text[..<equals])] = json ?? value
        }
        let settings = try common.settings()
        let store = try SessionStore(try common.connect(settings), settings)
        let id = try withRedis { try store.create(user: user, life: ttl?.duration ?? .seconds(3600), fields: fields) }
        CommandOutput.line(id.description)
    }
}

struct SessionShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Print what a session says.")

    @Argument(help: "The session's id.") var id: String
    @Flag(help: "Print one JSON object.") var json = false
    @OptionGroup var common: CommonOptions

    func run() throws {
        let settings = try common.settings()
        let store = try SessionStore(try common.connect(settings), settings)
        guard let found = try withRedis({ try store.show(Identifier(id)) }) else {
            throw CommandFailure(code: 1, sentence: "There is no such session.")
        }
        let left = found.left.map { Double($0.count) / 1000 }
        if json {
            let parsed = try? JSONSerialization.jsonObject(with: Data(found.value.utf8), options: [.fragmentsAllowed])
            try CommandOutput.json(["session": parsed ?? found.value, "expires_in_s": left ?? NSNull()])
        } else {
            CommandOutput.line(PlainText.clean(found.value, limit: 1 << 20))
            CommandOutput.line(left.map { "expires in \($0) s" } ?? "never expires")
        }
    }
}

struct SessionEnd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "end",
        abstract: "Delete a session; its connections are closed."
    )

    @Argument(help: "The session's id.") var id: String
    @OptionGroup var common: CommonOptions

    func run() throws {
        let settings = try common.settings()
        let store = try SessionStore(try common.connect(settings), settings)
        guard try withRedis({ try store.end(Identifier(id)) }) else {
            throw CommandFailure(code: 1, sentence: "There is no such session.")
        }
        CommandOutput.line("ended")
    }
}

import ArgumentParser
import Foundation
import PortcullisClient
import PortcullisControl
import PortcullisCore
import PortcullisRedis

struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Show the revocation log.",
        discussion: "With --script it prints the Lua script that appends, so that any language can append by it."
    )

    @Flag(help: "Go on with what is appended from now on, until interrupted.") var follow = false
    @Option(help: ArgumentHelp("Only what was appended behind this entry.", valueName: "id")) var after: String?
    @Flag(help: "Print the append script, and nothing else.") var script = false
    @Flag(help: "Print one JSON object a line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() throws {
        if script { return CommandOutput.line(AppendScript.documented) }
        let settings = try common.settings()
        let log = DecisionLog(try common.connect(settings), settings)
        var position: String?
        if let after {
            guard DecisionLog.isPosition(after) else {
                throw CommandFailure.usage("--after takes the id of an entry, such as 1700000000123-0.")
            }
            position = after
        } else if follow {
            // From here on: what was is told by the same command without --follow.
            position = try withRedis { try log.tail() }
        }
        repeat {
            let entries = try withRedis {
                try follow ? log.wait(after: position ?? "0-0", milliseconds: 1000) : log.page(after: position)
            }
            for entry in entries { try show(entry) }
            position = entries.last?.position ?? position
            if !follow, entries.count < DecisionLog.pageSize { return }
        } while true
    }

    private func show(_ entry: DecisionLog.Entry) throws {
        if json { return CommandOutput.line(entry.json) }
        let time = Date(timeIntervalSince1970: Double(entry.order) / 1000)
        let event = PlainText.clean(entry.event, limit: 2000)
        let version = entry.version.map { " version \($0)" } ?? ""
        CommandOutput.line("\(time.formatted(.iso8601))  \(entry.position)  \(entry.id)\(version)  \(event)")
    }
}

import ArgumentParser
import Foundation
import PortcullisControl
import PortcullisCore

struct Connections: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the live connections of all gates.")

    @OptionGroup var select: SelectorOptions
    @OptionGroup var common: CommonOptions
    @Flag(help: "Show them anew each second, until interrupted.") var watch = false
    @Flag(help: "Print one JSON object a line.") var json = false
    @Option(help: ArgumentHelp("Wait so long for the gates' answers.", valueName: "time")) var wait: Span?

    func run() async throws {
        let settings = try common.settings()
        let client = try DecisionClient(try common.connect(settings), settings)
        let selector = try select.selector() ?? Selector(all: true)
        repeat {
            let found = try withRedis { try client.connections(selector, wait: wait?.duration ?? .seconds(2)) }
            try show(found)
            if watch { try await Task.sleep(for: .seconds(1)) } else { try failIfSilent(found) }
        } while watch
    }

    private func show(_ found: DecisionClient.Found) throws {
        if json {
            for row in found.rows { try CommandOutput.json(row) }
            return
        }
        let columns = ["user", "connection", "resource", "role", "session", "token", "ip", "node"]
        let rows = found.rows
            .map { row in columns.map { row[$0] as? String ?? "–" } }
            .sorted { $0.lexicographicallyPrecedes($1) }
        let isTerminal = isatty(1) == 1
        if watch, isTerminal { CommandOutput.write("\u{1B}[H\u{1B}[2J", to: 1) }
        if !rows.isEmpty { CommandOutput.line(CommandOutput.table(columns.map { $0.uppercased() }, rows)) }
        CommandOutput.write(rows.count == 1 ? "1 connection\n" : "\(rows.count) connections\n", to: 2)
        if found.isCut { CommandOutput.warn("there are more: narrow the selector.") }
    }

    private func failIfSilent(_ found: DecisionClient.Found) throws {
        guard !found.silent.isEmpty else { return }
        throw CommandFailure(code: 4, sentence: "No answer in time from: \(found.silent.joined(separator: ", ")).")
    }
}

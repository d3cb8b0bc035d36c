import ArgumentParser
import Foundation
import PortcullisControl

struct NodesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes",
        abstract: "List the gates of this Redis.",
        discussion: "A gate that was not heard of for two leases is frozen: by the guarantee it passes nothing."
    )

    @Flag(help: "Print one JSON object a line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() throws {
        let settings = try common.settings()
        let client = try DecisionClient(try common.connect(settings), settings)
        let nodes = try withRedis { try client.nodeReports() }
        if json {
            for node in nodes { try CommandOutput.json(node.object) }
            return
        }
        let head = ["NODE", "STATE", "HEARD", "CONNECTIONS", "POSITION", "STALENESS", "VERSION", "ADDRESS"]
        let rows = nodes.map { node in
            [
                node.name, node.isFrozen ? "frozen" : "live", "\(node.heardMilliseconds) ms ago",
                node.fields["connections"] ?? "–", node.fields["position"] ?? "–",
                node.fields["staleness_ms"].map { "\($0) ms" } ?? "–", node.fields["version"] ?? "–",
                node.fields["address"] ?? "–",
            ]
        }
        if rows.isEmpty {
            CommandOutput.write("no gate is known to this Redis\n", to: 2)
        } else {
            CommandOutput.line(CommandOutput.table(head, rows))
        }
    }
}

extension DecisionClient.NodeReport {
    fileprivate var object: [String: Any] {
        var object: [String: Any] = ["node": name, "frozen": isFrozen, "heard_ms": heardMilliseconds]
        for (name, value) in fields {
            // Numbers as numbers; the gate's random name is a text that may look like one.
            object[name] = name == "instance" ? value : Int(value) ?? value
        }
        return object
    }
}

import Foundation

/// One thing that was measured.
struct Row: Codable {
    let scenario: String
    let what: String
    let unit: String
    var floor: Double?
    var gate: Double
    var ratio: Ratio?
    /// The ratio (or, without one, the value) that performance.md asks for at most.
    var target: Double?
    /// The value that is asked for at least.
    var least: Double?
    var note: String?
}

/// Under what a report came about.
struct Conditions: Codable {
    var connections: Int
    var rounds: Int
    var samples: Int
    var isQuick: Bool
    /// Whether servers had one core and the client another.
    var isPinned: Bool
    var cores: Int
    /// How many programs wanted a core, over a minute: before, those of others.
    var loadBefore: Double
    var loadAfter: Double

    fileprivate var sentence: String {
        let load = "\(Report.digits(loadBefore, 1)) before, \(Report.digits(loadAfter, 1)) after"
        return
            "\(cores) cores\(isPinned ? ", pinned" : ""), \(connections) connections, \(rounds) rounds, \(samples) samples"
            + "\(isQuick ? " (quick: whether it works, not how fast)" : ""); load \(load).\n"
    }
}

/// All that was measured, as a table for people or as JSON.
struct Report: Codable {
    var rows: [Row]
    var conditions: Conditions

    func print(json: Bool) throws {
        guard json else {
            write(table + conditions.sentence, to: STDOUT_FILENO)
            return
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        write(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: STDOUT_FILENO)
    }

    private var table: String {
        let head = ["scenario", "what", "unit", "floor", "gate", "ratio", "95 %", "target", "note"]
        let lines = [head] + rows.map(Self.cells)
        let widths = head.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.reduce(into: "") { text, line in
            let cells = line.indices.map { column in
                let gap = String(repeating: " ", count: widths[column] - line[column].count)
                return (3...7).contains(column) ? gap + line[column] : line[column] + gap
            }
            let joined = cells.joined(separator: "  ")
            text += String(joined.reversed().drop { $0 == " " }.reversed()) + "\n"
        }
    }

    private static func cells(_ row: Row) -> [String] {
        let value = { (value: Double?) in value.map { Self.digits($0, $0.magnitude < 100 ? 2 : 0) } ?? "" }
        return [
            row.scenario, row.what, row.unit, value(row.floor), value(row.gate),
            row.ratio.map { digits($0.mean, 2) } ?? "",
            row.ratio.flatMap(interval) ?? "",
            row.target.map { "≤ \(digits($0, 2))" } ?? row.least.map { "≥ \(digits($0, 0))" } ?? "", row.note ?? "",
        ]
    }

    private static func interval(_ ratio: Ratio) -> String? {
        guard let low = ratio.low, let high = ratio.high else { return nil }
        return "\(digits(low, 2))–\(digits(high, 2))"
    }

    static func digits(_ value: Double, _ count: Int) -> String {
        String(format: "%.\(count)f", value)
    }
}

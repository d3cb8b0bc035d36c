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
    var note: String?
}

/// All that was measured, as a table for people or as JSON.
struct Report: Codable {
    var rows: [Row] = []

    func print(json: Bool) throws {
        guard json else {
            write(table, to: STDOUT_FILENO)
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
            row.target.map { "≤ \(digits($0, 2))" } ?? "", row.note ?? "",
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

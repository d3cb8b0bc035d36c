import Glibc

/// The ratios of a report as a bar chart in SVG 1.1: a bar for each, its confidence interval as a whisker, its target as a mark.
struct Plot {
    private let rows: [(row: Row, ratio: Ratio)]

    private static let labels = 470.0
    private static let chart = 420.0
    private static let numbers = 150.0
    private static let head = 50.0
    private static let step = 26.0
    private static let bar = 14.0

    init(_ rows: [Row]) {
        self.rows = rows.compactMap { row in row.ratio.map { (row: row, ratio: $0) } }
    }

    /// Writes it to a file.
    func write(to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw BenchFailure("write \(path)", errno: errno) }
        defer { close(file) }
        PortcullisBench.write(svg, to: file)
        progress("The ratios are drawn in \(path).")
    }

    var svg: String {
        let width = Self.labels + Self.chart + Self.numbers
        let height = Self.head + Double(max(1, rows.count)) * Self.step + 30
        let size = "width=\"\(Self.digits(width))\" height=\"\(Self.digits(height))\""
        let view = "viewBox=\"0 0 \(Self.digits(width)) \(Self.digits(height))\""
        var text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" \(size) \(view) font-family="sans-serif" font-size="12">
            <title>portcullis-bench</title>
            <rect width="100%" height="100%" fill="#ffffff"/>

            """
        text += Self.text(10, 22, "portcullis-bench: what a gate takes, against its measure (1 = as much)", size: 15)
        guard !rows.isEmpty else {
            return text + Self.text(10, Self.head + 16, "No ratio was measured.") + "</svg>\n"
        }
        text += axis(bottom: height - 24)
        for (index, entry) in rows.enumerated() {
            text += band(entry.row, entry.ratio, top: Self.head + Double(index) * Self.step)
        }
        text += Self.text(Self.labels, height - 4, "bar: mean; whisker: 95 %; red mark: target", size: 10)
        return text + "</svg>\n"
    }

    // MARK: - Parts

    /// The greatest number of the axis.
    private var limit: Double {
        let greatest = rows.reduce(1.5) { max($0, $1.ratio.high ?? 0, $1.ratio.mean, $1.row.target ?? 0) }
        // An interval of few rounds may be wider than any chart.
        return min(greatest * 1.05, 3 * rows.reduce(1.5) { max($0, $1.ratio.mean, $1.row.target ?? 0) })
    }

    private func place(_ value: Double) -> Double {
        Self.labels + Self.chart * min(max(value, 0), limit) / limit
    }

    private func axis(bottom: Double) -> String {
        let step = limit > 8 ? 2.0 : limit > 4 ? 1.0 : 0.5
        var text = ""
        for tick in 0...Int(limit / step) {
            let value = Double(tick) * step
            let color = value == 1 ? "#666666" : "#dddddd"
            text += Self.line(place(value), Self.head - 6, place(value), bottom, color, 1)
            text += Self.text(place(value) - 8, Self.head - 10, Self.digits(value), size: 10)
        }
        return text
    }

    private func band(_ row: Row, _ ratio: Ratio, top: Double) -> String {
        let middle = top + Self.bar / 2
        let isMet = row.target.map { ratio.mean <= $0 } ?? true
        var text = Self.text(10, top + 11, "\(row.scenario): \(row.what)")
        text += "<rect x=\"\(Self.digits(Self.labels))\" y=\"\(Self.digits(top))\""
        text += " width=\"\(Self.digits(place(ratio.mean) - Self.labels))\" height=\"\(Self.digits(Self.bar))\""
        text += " fill=\"\(isMet ? "#5b8fb9" : "#d9a05b")\"/>\n"
        var label = Report.digits(ratio.mean, 2)
        if let low = ratio.low, let high = ratio.high {
            text += Self.line(place(low), middle, place(high), middle, "#222222", 1.5)
            for end in [low, high] { text += Self.line(place(end), middle - 4, place(end), middle + 4, "#222222", 1.5) }
            label += " (\(Report.digits(low, 2))–\(Report.digits(high, 2)))"
        }
        if let target = row.target {
            text += Self.line(place(target), top - 3, place(target), top + Self.bar + 3, "#c0392b", 2.5)
        }
        return text + Self.text(Self.labels + Self.chart + 8, top + 11, label)
    }

    // MARK: - Elements

    private static func line(
        _ x1: Double,
        _ y1: Double,
        _ x2: Double,
        _ y2: Double,
        _ color: String,
        _ width: Double
    )
        -> String
    {
        "<line x1=\"\(digits(x1))\" y1=\"\(digits(y1))\" x2=\"\(digits(x2))\" y2=\"\(digits(y2))\""
            + " stroke=\"\(color)\" stroke-width=\"\(digits(width))\"/>\n"
    }

    private static func text(_ x: Double, _ y: Double, _ words: String, size: Int = 12) -> String {
        "<text x=\"\(digits(x))\" y=\"\(digits(y))\" font-size=\"\(size)\">\(escaped(words))</text>\n"
    }

    private static func digits(_ value: Double) -> String {
        Report.digits(value, 1)
    }

    /// A text as XML has it; what XML can't have at all becomes a question mark.
    static func escaped(_ words: String) -> String {
        words.unicodeScalars.reduce(into: "") { text, scalar in
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "'": text += "&apos;"
            case "\u{0}"..<"\u{20}", "\u{7F}", "\u{FFFE}", "\u{FFFF}": text += "?"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}

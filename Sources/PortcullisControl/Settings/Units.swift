/// Durations and sizes as people write them.
enum Units {
    /// The longest duration a setting may have: so that sums of a few of them, in nanoseconds, stay far below 2^63.
    static let longestDuration = Duration.seconds(3_650 * 86_400)

    private static let durations: [(suffix: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    private static let sizes: [(suffix: String, bytes: Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

    /// `250ms`, `5s`, `15m`, `24h`, `30d`, or `0`; nil where the text is none of these or longer than ten years.
    static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int64(digits) else { return nil }
        let suffix = text[digits.endIndex...]
        if suffix.isEmpty { return count == 0 ? .zero : nil }
        guard let unit = durations.first(where: { $0.suffix == suffix }) else { return nil }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow, milliseconds <= longestDuration.wholeMilliseconds else { return nil }
        return .milliseconds(milliseconds)
    }

    /// The duration in the greatest unit that loses nothing; one day is `24h` and one minute `60s`.
    static func text(_ duration: Duration) -> String {
        let milliseconds = duration.wholeMilliseconds
        for unit in durations where milliseconds % unit.milliseconds == 0 && milliseconds > 0 {
            let count = milliseconds / unit.milliseconds
            if count < 2, unit.suffix == "d" || unit.suffix == "m" { continue }
            return "\(count)\(unit.suffix)"
        }
        return "0s"
    }

    /// Bytes, or `64KiB`, `1MiB`, `1GiB`; nil where the text is none of these or too great.
    static func size(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits) else { return nil }
        let suffix = text[digits.endIndex...]
        if suffix.isEmpty { return count }
        guard let unit = sizes.first(where: { $0.suffix == suffix }) else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
        return overflow ? nil : bytes
    }

    /// The size in the greatest unit that loses nothing.
    static func text(size: Int) -> String {
        for unit in sizes where size > 0 && size % unit.bytes == 0 { return "\(size / unit.bytes)\(unit.suffix)" }
        return "\(size)"
    }
}

extension Duration {
    /// The duration in whole milliseconds, rounded towards zero; at the bounds of Int64 where it is beyond them.
    public var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let (sum, overflowed) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        guard overflow || overflowed else { return sum }
        return seconds < 0 ? .min : .max
    }
}

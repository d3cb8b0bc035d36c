import Logging

/// One message of the log.
struct LogLine {
    /// Since the Unix epoch.
    let milliseconds: Int64
    let level: Logger.Level
    let label: String
    let message: String
    let metadata: Logger.Metadata

    func text(_ format: LogFormat) -> String {
        switch format {
        case .text: text
        case .json: json
        }
    }

    /// `2026-01-01T12:00:00.123Z info message key=value`, the keys in order.
    private var text: String {
        var line = "\(Self.timestamp(milliseconds)) \(level.rawValue) \(LogText.escaped(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(LogText.escaped(key))=\(LogText.value("\(value)"))"
        }
        return line
    }

    private var json: String {
        let time = LogText.json(Self.timestamp(milliseconds))
        var line = "{\"time\":\(time),\"level\":\"\(level.rawValue)\",\"logger\":\(LogText.json(label))"
        line += ",\"message\":\(LogText.json(message))"
        if !metadata.isEmpty { line += ",\"metadata\":\(Self.json(.dictionary(metadata)))" }
        return line + "}"
    }

    private static func json(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): return LogText.json(text)
        case .stringConvertible(let value): return LogText.json(value.description)
        case .array(let values): return "[\(values.map(json).joined(separator: ","))]"
        case .dictionary(let values):
            let members = values.sorted { $0.key < $1.key }.map { "\(LogText.json($0.key)):\(json($0.value))" }
            return "{\(members.joined(separator: ","))}"
        }
    }

    /// RFC 3339 in UTC, with milliseconds.
    static func timestamp(_ milliseconds: Int64) -> String {
        let days = milliseconds.floored(by: 86_400_000)
        let ofDay = milliseconds - days * 86_400_000
        // Civil date from days, as by Howard Hinnant: years begin in March, so that the leap day is a year's last.
        let shifted = days + 719_468
        let era = shifted.floored(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
        let time = "\(padded(ofDay / 3_600_000, 2)):\(padded(ofDay / 60_000 % 60, 2)):\(padded(ofDay / 1000 % 60, 2))"
        return "\(date)T\(time).\(padded(ofDay % 1000, 3))Z"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Int64 {
    fileprivate func floored(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}

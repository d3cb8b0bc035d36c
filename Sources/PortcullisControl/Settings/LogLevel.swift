public import Logging

/// The least level of a message that is logged.
public typealias LogLevel = Logger.Level

/// The shape of a line of the log.
public enum LogFormat: String, CaseIterable, Sendable {
    /// `2026-01-01T12:00:00.123Z info message key=value`
    case text
    /// One JSON object a line.
    case json
}

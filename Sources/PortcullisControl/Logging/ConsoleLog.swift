import Foundation
import Glibc
public import Logging
import Synchronization

/// The program's log on standard error.
public final class ConsoleLog: Sendable {
    private struct State {
        var level: Logger.Level
        var format: LogFormat
    }

    private let state: Mutex<State>
    private let write: @Sendable (String) -> Void
    private let now: @Sendable () -> Int64

    /// A log that writes whole lines to a descriptor, standard error where none is given.
    public convenience init(level: LogLevel = .info, format: LogFormat = .text, descriptor: Int32 = 2) {
        self.init(
            level: level,
            format: format,
            now: { ConsoleLog.wallMilliseconds() },
            write: { ConsoleLog.write($0, to: descriptor) }
        )
    }

    init(
        level: LogLevel,
        format: LogFormat,
        now: @escaping @Sendable () -> Int64,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.state = Mutex(State(level: level, format: format))
        self.now = now
        self.write = write
    }

    /// Makes it the log of every `Logger` of the process. To be called once, before the first of them is made.
    public func bootstrap() {
        LoggingSystem.bootstrap { label in self.handler(label: label) }
    }

    /// A logger that writes here, without ``bootstrap()``.
    public func logger(label: String) -> Logger {
        Logger(label: label) { label in self.handler(label: label) }
    }

    /// The least level of what is written, for all loggers that have none of their own. It may be changed while they are in use.
    public var level: LogLevel {
        get { state.withLock { $0.level } }
        set { state.withLock { $0.level = newValue } }
    }

    private func handler(label: String) -> ConsoleLogHandler {
        ConsoleLogHandler(log: self, label: label)
    }

    fileprivate func write(_ event: LogEvent, label: String, metadata: Logger.Metadata) {
        let format = state.withLock { $0.format }
        let line = LogLine(
            milliseconds: now(),
            level: event.level,
            label: label,
            message: event.message.description,
            metadata: metadata
        )
        write(line.text(format) + "\n")
    }

    private static func wallMilliseconds() -> Int64 {
        Int64((Date().timeIntervalSince1970 * 1000).rounded(.down))
    }

    /// One system call a line where the kernel takes it whole, so that lines of several threads do not mix.
    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                // Safe: `offset` is below `count`, so the range lies within the buffer.
                let written = unsafe Glibc.write(
                    descriptor,
                    bytes.baseAddress.map { unsafe $0 + offset },
                    bytes.count - offset
                )
                if written > 0 {
                    offset += written
                } else if written == 0 || errno != EINTR {
                    // Nobody reads the log: there is no other place to say so.
                    return
                }
            }
        }
    }
}

private struct ConsoleLogHandler: LogHandler {
    let log: ConsoleLog
    let label: String
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    /// A level that was set for this logger alone.
    private var ownLevel: Logger.Level?

    init(log: ConsoleLog, label: String) {
        self.log = log
        self.label = label
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? log.level }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        log.write(event, label: label, metadata: all)
    }
}

import Foundation
import Synchronization

/// What a person or a program sees of a run. On a terminal the last line is the status, and what is typed stands behind it; else
/// there is one line an event on standard output, and nothing but it.
final class TerminalScreen: Sendable {
    /// The status; under the lock all is written, so that two lines never mix.
    private let current = Mutex("")
    private let isInteractive: Bool
    private let isColoured: Bool

    /// - Parameter isJSON: for programs, even on a terminal.
    init(isJSON: Bool) {
        let environment = ProcessInfo.processInfo.environment
        let isTerminal = TerminalOutput.standard.isTerminal && environment["TERM"] != "dumb"
        isInteractive = isTerminal && !isJSON
        // no-color.org: set and not empty.
        isColoured = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty
    }

    /// Shows an event; false where nobody reads any more.
    func show(_ line: ConnectLine) -> Bool {
        current.withLock { status in
            guard isInteractive else { return TerminalOutput.standard.write(line.text + "\n") }
            return TerminalOutput.standard.write("\r\u{1B}[K" + coloured(line) + "\n" + prompt(status))
        }
    }

    /// Says something about the client itself, on standard error.
    func note(_ text: String) {
        current.withLock { status in
            guard isInteractive else {
                TerminalOutput.error.write("portcullis connect: \(text)\n")
                return
            }
            TerminalOutput.standard.write("\r\u{1B}[K")
            TerminalOutput.error.write("\(text)\n")
            TerminalOutput.standard.write(prompt(status))
        }
    }

    /// Changes the status line; without a terminal there is none.
    func status(_ text: String) {
        current.withLock { status in
            status = text
            if isInteractive { TerminalOutput.standard.write("\r\u{1B}[K" + prompt(text)) }
        }
    }

    /// Draws the status anew, after a line was typed behind it.
    func prompt() {
        current.withLock { status in
            if isInteractive { TerminalOutput.standard.write("\r\u{1B}[K" + prompt(status)) }
        }
    }

    /// Leaves an empty line for whoever comes next.
    func finish() {
        current.withLock { status in
            status = ""
            if isInteractive { TerminalOutput.standard.write("\r\u{1B}[K") }
        }
    }

    private func prompt(_ status: String) -> String {
        guard !status.isEmpty else { return "" }
        return isColoured ? "\u{1B}[1m\(status) ›\u{1B}[0m " : "\(status) › "
    }

    private func coloured(_ line: ConnectLine) -> String {
        guard isColoured else { return line.text }
        let code: String? =
            switch line.mood {
            case .plain: nil
            case .quiet: "2"
            case .good: "32"
            case .warning: "33"
            case .bad: "31"
            case .told: "36"
            }
        return code.map { "\u{1B}[\($0)m\(line.text)\u{1B}[0m" } ?? line.text
    }
}

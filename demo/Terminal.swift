import Foundation
import Glibc

/// What the demo shows: aligned lines, with colours on a terminal that wants them.
struct Terminal: Sendable {
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    /// Whether a person can type here.
    let isInteractive: Bool
    private let hasColours: Bool
    /// Where the figures end.
    private static let width = 78

    init(environment: [String: String]) {
        isInteractive = isatty(0) == 1 && isatty(1) == 1
        let isWanted = (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
        hasColours = isatty(1) == 1 && isWanted
    }

    func styled(_ text: String, _ style: Style) -> String {
        hasColours ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    func line(_ text: String = "") {
        write(text + "\n")
    }

    /// A sentence on standard error.
    func failure(_ sentence: String) {
        write("demo: \(sentence)\n", to: 2)
    }

    /// Nobody reading is no reason to stop: the gate must be ended in order.
    func write(_ text: String, to descriptor: Int32 = 1) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// A sentence under a step.
    func remark(_ text: String) {
        line("     " + text)
    }

    /// A command as a person would type it.
    func command(_ text: String) {
        line()
        remark(styled("$ \(text)", .dim))
    }

    /// A step that happened, and how long it took.
    func step(_ number: Int, _ text: String, _ time: Duration? = nil) {
        let start = number < 10 ? "  \(number)  " : " \(number)  "
        let figure = time.map(Self.figure) ?? ""
        let room = Self.width - start.count - text.count - figure.count
        line(styled(start, .green) + text + String(repeating: " ", count: max(2, room)) + styled(figure, .bold))
    }

    /// A duration with three digits that mean something.
    static func figure(_ time: Duration) -> String {
        let microseconds = time / .microseconds(1)
        switch microseconds {
        case ..<999.5: return String(format: "%.0f µs", microseconds)
        case ..<9995: return String(format: "%.2f ms", microseconds / 1e3)
        case ..<99_950: return String(format: "%.1f ms", microseconds / 1e3)
        case ..<999_500: return String(format: "%.0f ms", microseconds / 1e3)
        default: return String(format: "%.2f s", microseconds / 1e6)
        }
    }
}

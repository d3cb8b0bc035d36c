import Foundation

/// The lines of standard input. They are read on a thread of their own, since a read of a terminal cannot be waited for otherwise,
/// and one by one: the next is read when the last was taken.
final class TerminalInput: Sendable {
    enum Line: Sendable {
        case text(String)
        /// Too long, or not UTF-8.
        case unusable
    }

    static let maximumLine = 1 << 20

    let lines: AsyncStream<Line>
    let isTerminal = isatty(STDIN_FILENO) == 1
    private let turn = DispatchSemaphore(value: 0)

    init() {
        let (lines, continuation) = AsyncStream.makeStream(of: Line.self)
        self.lines = lines
        let turn = turn
        Thread.detachNewThread {
            var reader = LineReader()
            while let line = reader.next() {
                guard case .enqueued = continuation.yield(line) else { return }
                turn.wait()
            }
            continuation.finish()
        }
    }

    /// Lets the next line be read.
    func taken() {
        turn.signal()
    }
}

/// Bytes of standard input to lines, in bounded memory.
private struct LineReader {
    private var buffer: [UInt8] = []
    /// Where the search for the end of the line goes on.
    private var searched = 0
    private var isTooLong = false
    private var isAtEnd = false

    mutating func next() -> TerminalInput.Line? {
        while true {
            if let end = buffer[searched...].firstIndex(of: 10) {
                defer {
                    buffer.removeFirst(end + 1)
                    searched = 0
                    isTooLong = false
                }
                return isTooLong ? .unusable : line(buffer[..<end])
            }
            searched = buffer.count
            if buffer.count > TerminalInput.maximumLine {
                isTooLong = true
                buffer = []
                searched = 0
            }
            if isAtEnd {
                defer {
                    buffer = []
                    searched = 0
                    isTooLong = false
                }
                if isTooLong { return .unusable }
                return buffer.isEmpty ? nil : line(buffer[...])
            }
            read()
        }
    }

    private func line(_ bytes: ArraySlice<UInt8>) -> TerminalInput.Line {
        let bytes = bytes.last == 13 ? bytes.dropLast() : bytes
        return String(validating: bytes, as: UTF8.self).map(TerminalInput.Line.text) ?? .unusable
    }

    private mutating func read() {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = chunk.withUnsafeMutableBytes { Foundation.read(STDIN_FILENO, $0.baseAddress, $0.count) }
        if count > 0 {
            buffer += chunk.prefix(count)
        } else if count == 0 || errno != EINTR {
            isAtEnd = true
        }
    }
}

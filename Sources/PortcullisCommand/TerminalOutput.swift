import Foundation

/// A file descriptor that lines are written to.
struct TerminalOutput: Sendable {
    static let standard = TerminalOutput(descriptor: STDOUT_FILENO)
    static let error = TerminalOutput(descriptor: STDERR_FILENO)

    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    var isTerminal: Bool {
        isatty(descriptor) == 1
    }

    /// Writes all of it; false where nobody reads it any more.
    @discardableResult
    func write(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // A terminal that a shell left in non-blocking mode: wait until it takes more.
                var descriptors = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&descriptors, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}

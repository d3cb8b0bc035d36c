import Glibc

/// Why a measurement could not be made, in a sentence.
struct BenchFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// What was being done when a system call failed.
    init(_ doing: String, errno number: Int32) {
        self.description = "Could not \(doing): \(String(cString: strerror(number)))."
    }
}

/// Tells how far the bench is; results alone go to standard output.
func progress(_ text: String) {
    write(text + "\n", to: STDERR_FILENO)
}

/// Writes at once, past any buffer: whoever reads may be waiting for this very line.
func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
        // The pointer is used within the call only.
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written) }
        guard count > 0 || errno == EINTR else { return }
        written += max(0, count)
    }
}

import Foundation

/// Lines of the shell.
public enum Shell {
    /// Runs a line to its end.
    /// - Returns: what it wrote, also to its standard error, and its exit code.
    public static func run(_ line: String) throws -> (output: String, code: Int32) {
        try Child(line).end()
    }

    /// A line that runs beside the test. ``end()`` must be called.
    public final class Child {
        private let pipe: UnsafeMutablePointer<FILE>

        public init(_ line: String) throws {
            // Started by popen, not by Foundation's Process, whose one thread waits for all children.
            guard let pipe = popen("exec 2>&1; " + line, "re") else { throw CocoaError(.fileReadUnknown) }
            self.pipe = pipe
        }

        /// Waits for the line to end.
        /// - Returns: what it wrote, also to its standard error, and its exit code.
        public func end() -> (output: String, code: Int32) {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = fread(&buffer, 1, buffer.count, pipe)
                if count == 0 { break }
                bytes += buffer.prefix(count)
            }
            let status = pclose(pipe)
            return (String(decoding: bytes, as: UTF8.self), (status >> 8) & 0xFF)
        }
    }
}

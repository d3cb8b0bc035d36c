import Foundation

/// A line of the shell, run to its end.
public enum Shell {
    /// - Returns: what it wrote, also to its standard error, and its exit code.
    public static func run(_ line: String) throws -> (output: String, code: Int32) {
        guard let pipe = popen("exec 2>&1; " + line, "r") else { throw CocoaError(.fileReadUnknown) }
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

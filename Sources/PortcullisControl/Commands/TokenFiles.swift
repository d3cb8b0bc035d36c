import Foundation
import Glibc
import PortcullisReactor

/// Files that hold a token each: one, or all in a folder.
public struct TokenFiles {
    /// Their names, in order of their bytes.
    public let names: [String]
    private let folder: String?

    /// - Parameter path: of a file or a folder; nil is made of any other text, which may be a token.
    /// - Throws: where the folder cannot be read, or no file stands in it.
    public init?(_ path: String) throws(StartupError) {
        guard (1..<4096).contains(path.utf8.count), let mode = Self.mode(path) else { return nil }
        switch mode {
        case S_IFREG:
            folder = nil
            names = [path]
        case S_IFDIR:
            folder = path
            guard let found = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw StartupError("The folder \(path) may not be read by this user.")
            }
            names = found.filter { Self.mode(path + "/" + $0) == S_IFREG }.sorted { left, right in
                left.utf8.lexicographicallyPrecedes(right.utf8)
            }
            if names.isEmpty { throw StartupError("There is no file in the folder \(path), so no token is judged.") }
        default: return nil
        }
    }

    /// The kind of what stands there; links are followed.
    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// The verdict on the token in a file, one newline behind it aside.
    public func verdict(_ name: String, _ judge: TokenJudge) -> TokenJudge.Verdict {
        let path = folder.map { $0 + "/" + name } ?? name
        // Not waiting: it may have become a pipe since it was looked at.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard file >= 0 else { return judge.unreadable(name, SocketError.text(errno)) }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        do {
            var token = [UInt8](try handle.read(upToCount: judge.longestFile) ?? Data())
            if token.last == 0x0A { token.removeLast() }
            return judge.judge(token, file: name)
        } catch {
            return judge.unreadable(name, "reading failed")
        }
    }
}

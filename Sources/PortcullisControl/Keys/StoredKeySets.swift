import CLinux
import Glibc
import PortcullisCrypto
import PortcullisWire

/// The key sets that were fetched last, in the state directory: a gate that starts while the issuer is away goes on with them.
struct StoredKeySets: Sendable {
    private let folder: String
    private let directory: StateDirectory

    init(_ directory: StateDirectory) {
        self.directory = directory
        folder = directory.path + "/keys"
    }

    /// The path of a URL's set. The name is a hash: a URL may be longer than a file's name, and who lists the folder need not read it.
    func path(_ url: KeySetURL) -> String {
        let text = Array(url.description.utf8)
        let digest = SHA256.digest(text.span)
        return "\(folder)/\(String(decoding: Hexadecimal.encode(digest.span), as: UTF8.self)).json"
    }

    /// The set as it was fetched; nil where there is none.
    /// - Throws: where there is one that is not to be trusted.
    func read(_ url: KeySetURL) throws(StartupError) -> [UInt8]? {
        let path = path(url)
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw StartupError("The file \(path) cannot be read (\(systemText(errno))).")
        }
        defer { close(file) }
        let status = portcullis_fstat(file)
        // Who writes it says whose tokens are accepted.
        guard status.error == 0, status.is_regular, status.owner == geteuid(), status.permissions & 0o022 == 0 else {
            throw StartupError("The file \(path) could have been written by others than the gate.")
        }
        guard status.size <= Self.largest else { throw StartupError("The file \(path) is too large for a key set.") }
        var bytes = [UInt8](repeating: 0, count: Int(status.size))
        var count = 0
        while count < bytes.count {
            // Safe: the buffer is valid for its count while the closure runs, and only what is behind `count` is written.
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress?.advanced(by: count), $0.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }

    /// Keeps a set in place of the one before.
    func write(_ bytes: [UInt8], of url: KeySetURL) throws(StartupError) {
        let path = path(url)
        try directory.prepare()
        try directory.prepare(folder: folder)
        guard SmallFile.write(bytes, to: path) else {
            throw StartupError("The file \(path) cannot be written (\(systemText(errno))).")
        }
    }

    private static let largest = 1 << 20
}

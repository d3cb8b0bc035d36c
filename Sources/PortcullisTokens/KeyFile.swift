import Glibc

/// A small file with a key in it.
struct KeyFile {
    let path: String
    let bytes: [UInt8]
    /// Whether others than the owner may read or change it.
    let isOpenToOthers: Bool

    /// Larger than any key set that makes sense.
    static let largest = 1 << 20

    init(_ path: String) throws(KeyError) {
        self.path = path
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard file >= 0 else { throw Self.error(path, errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.error(path, errno) }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw KeyError("\(path) is a folder; name the key file in it.")
        }
        self.isOpenToOthers = status.st_mode & 0o066 != 0
        var bytes = [UInt8](repeating: 0, count: Self.largest + 1)
        var count = 0
        while count < bytes.count {
            // Safe: the buffer is valid for its count while the closure runs, and only what is behind `count` is written.
            let got = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress?.advanced(by: count), $0.count - count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw Self.error(path, errno) }
            if got == 0 { break }
            count += got
        }
        guard count <= Self.largest else { throw KeyError("\(path) is larger than 1 MiB: that is no key file.") }
        self.bytes = Array(bytes.prefix(count))
    }

    private static func error(_ path: String, _ code: Int32) -> KeyError {
        switch code {
        case ENOENT: KeyError("There is no file \(path).")
        case EACCES, EPERM:
            KeyError("\(path) may not be read by this user. Change its owner, or run as the one it has.")
        default: KeyError("\(path) cannot be read: \(String(cString: strerror(code))).")
        }
    }

    /// Refuses a file with a secret in it that others may read.
    func requirePrivate() throws(KeyError) {
        guard isOpenToOthers else { return }
        throw KeyError(
            "\(path) holds a secret and can be read by others than its owner. Close it with: chmod 600 \(path)"
        )
    }
}

import CLinux
import Glibc

/// The HMAC secret of a gate that was given no key.
public struct StoredSecret: Sendable {
    /// The secret itself: the bytes of the file, one trailing newline aside. Do not log them.
    public let bytes: [UInt8]
    /// Whether it was made just now.
    public let isNew: Bool
}

extension StoredSecret: CustomStringConvertible, CustomReflectable {
    public var description: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension StateDirectory {
    /// Reads the secret, and makes it where there is none yet.
    ///
    /// - Parameter random: Gives at least 32 random bytes. They are written in hexadecimal, for a secret that is text can be
    ///   given to the programs that issue tokens, and loses nothing where a file's last newline is left out.
    /// - Throws: A sentence where the file cannot be read or made, or where others may read it.
    public func secret(random: () -> [UInt8]) throws(StartupError) -> StoredSecret {
        if let bytes = try readSecret() { return StoredSecret(bytes: bytes, isNew: false) }
        let made = random().flatMap { byte in Array((byte < 16 ? "0" : "").utf8) + Array(String(byte, radix: 16).utf8) }
        guard made.count >= 64 else {
            throw StartupError("The gate's secret needs 32 random bytes: report this as a bug.")
        }
        // Written apart and then linked, which fails where the name is taken: nobody ever reads half a secret.
        let draft = "\(secret).\(getpid())"
        unlink(draft)
        try write(made + [0x0A], to: draft)
        defer { unlink(draft) }
        if link(draft, secret) == 0 { return StoredSecret(bytes: made, isNew: true) }
        guard errno == EEXIST, let bytes = try readSecret() else {
            throw StartupError("The file \(secret) cannot be made (\(systemText(errno))): choose another state_dir.")
        }
        return StoredSecret(bytes: bytes, isNew: false)
    }

    /// nil where there is no file.
    private func readSecret() throws(StartupError) -> [UInt8]? {
        let file = open(secret, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw StartupError(
                "The file \(secret) cannot be read (\(systemText(errno))): correct its rights or remove it."
            )
        }
        defer { close(file) }
        let status = portcullis_fstat(file)
        guard status.error == 0, status.is_regular, status.owner == geteuid() else {
            throw StartupError("The file \(secret) is not a file of the gate's user: remove it.")
        }
        guard status.permissions & 0o077 == 0 else {
            throw StartupError(
                "Others may read the secret in \(secret): run chmod 600 on it, or remove it to get a new one."
            )
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
        guard count > 0 else { throw StartupError("The file \(secret) is empty: remove it to get a new secret.") }
        bytes.removeLast(bytes.count - count)
        if bytes.last == 0x0A { bytes.removeLast() }
        return bytes
    }

    private func write(_ bytes: [UInt8], to path: String) throws(StartupError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw StartupError("The file \(path) cannot be made (\(systemText(errno))): choose another state_dir.")
        }
        defer { close(file) }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(file) == 0 else {
            unlink(path)
            throw StartupError(
                "The file \(path) cannot be written (\(systemText(errno))): make room or choose another state_dir."
            )
        }
    }
}

import Glibc

/// The redis-server on this machine, and how a gate runs it.
struct RedisProgram: Sendable {
    /// Both speak the same protocol and take the same options.
    static let names = ["redis-server", "valkey-server"]

    let path: String

    /// Finds it among the folders of a `PATH`.
    init(searchPath: String) throws(StartupError) {
        for name in Self.names {
            for folder in searchPath.split(separator: ":") {
                let path = "\(folder)/\(name)"
                if folder.hasPrefix("/"), access(path, X_OK) == 0 {
                    self.path = path
                    return
                }
            }
        }
        throw StartupError(
            "There is no redis-server here: install it with: apt-get install redis-server, or give --redis URL"
        )
    }

    /// What it is told: durable to a second, no eviction, on a socket that only its user may open, and on no port.
    static func arguments(_ directory: StateDirectory) -> [String] {
        [
            "--port", "0",
            "--unixsocket", directory.redisSocket,
            "--unixsocketperm", "700",
            "--dir", directory.redisData,
            "--daemonize", "no",
            "--appendonly", "yes",
            "--appendfsync", "everysec",
            "--save", "",
            "--maxmemory-policy", "noeviction",
            "--logfile", "",
        ]
    }

    /// Whether a process is a Redis that runs on this directory's socket, by its name and its command line.
    static func runs(_ pid: pid_t, on directory: StateDirectory) -> Bool {
        isRedis(pid) && SmallFile.read("/proc/\(pid)/cmdline").map { $0.contains(directory.redisSocket) } == true
    }

    /// Whether a process is a Redis.
    static func isRedis(_ pid: pid_t) -> Bool {
        guard let name = SmallFile.read("/proc/\(pid)/comm") else { return false }
        return names.contains { name.hasPrefix($0) }
    }
}

/// Files of a few bytes.
enum SmallFile {
    /// The first 4096 bytes as text; nil where there are none.
    static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return read(file)
    }

    /// The last 4096 bytes as text.
    static func tail(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        if lseek(file, -4096, Int32(SEEK_END)) == -1 { lseek(file, 0, Int32(SEEK_SET)) }
        return read(file)
    }

    private static func read(_ file: Int32) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }

    /// Replaces a file in one step; false where that failed.
    @discardableResult static func write(_ text: String, to path: String) -> Bool {
        write(Array(text.utf8), to: path)
    }

    /// Replaces a file in one step; false where that failed.
    static func write(_ bytes: [UInt8], to path: String) -> Bool {
        let draft = "\(path).\(getpid())"
        let file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        return written == bytes.count && rename(draft, path) == 0
    }
}

import CLinux
import Glibc

/// The folder in which a gate keeps what outlives it: its Redis, its secret. Only its owner may look into it.
public struct StateDirectory: Hashable, Sendable {
    /// The absolute path, without a slash at its end.
    public let path: String

    /// A folder by its absolute path. It need not exist.
    public init(path: String) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// Finds the folder: the configured one, else `$XDG_STATE_HOME/portcullis`, else `~/.local/state/portcullis`. A relative
    /// path is taken from the working directory, except in XDG_STATE_HOME, where the XDG specification says to ignore it.
    public static func locate(
        configured: String?,
        environment: [String: String]
    ) throws(StartupError) -> StateDirectory {
        if let configured, !configured.isEmpty {
            return StateDirectory(path: try absolute(configured))
        }
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") {
            return StateDirectory(path: state + "/portcullis")
        }
        if let home = environment["HOME"], home.hasPrefix("/") {
            return StateDirectory(path: home + "/.local/state/portcullis")
        }
        throw StartupError("There is no folder for the gate's state: set state_dir, or the variable HOME.")
    }

    /// The socket of the embedded Redis.
    public var redisSocket: String { path + "/redis.sock" }
    /// The folder of its data.
    public var redisData: String { path + "/redis" }
    /// The file with its process id.
    public var redisProcess: String { path + "/redis.pid" }
    /// What it says.
    public var redisLog: String { path + "/redis.log" }
    /// The file of the HMAC secret that the gate made.
    public var secret: String { path + "/secret" }
    /// The file that the gate in possession of the folder has locked.
    public var lock: String { path + "/lock" }

    /// Makes the folder, readable by its owner alone, and takes rights that others have away.
    ///
    /// - Throws: A sentence where it cannot be made, or belongs to somebody else.
    public func prepare() throws(StartupError) {
        guard redisSocket.utf8.count <= ListenAddress.longestSocketPath else {
            let longest = ListenAddress.longestSocketPath
            throw StartupError(
                "The path \(redisSocket) has more than the \(longest) bytes a socket's may have: choose a shorter state_dir."
            )
        }
        var end = path.startIndex
        while end != path.endIndex {
            end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
            // The next lines say what is wrong with it where this fails.
            mkdir(String(path[..<end]), 0o700)
        }
        try Self.makePrivate(path)
    }

    /// Makes a folder within this one.
    func prepare(folder: String) throws(StartupError) {
        mkdir(folder, 0o700)
        try Self.makePrivate(folder)
    }

    private static func makePrivate(_ path: String) throws(StartupError) {
        // By descriptor, so that the folder that was looked at is the one whose rights change.
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            throw StartupError("The folder \(path) cannot be used (\(systemText(errno))): choose another state_dir.")
        }
        defer { close(folder) }
        let status = portcullis_fstat(folder)
        guard status.error == 0 else {
            throw StartupError(
                "The folder \(path) cannot be used (\(systemText(status.error))): choose another state_dir."
            )
        }
        guard status.owner == geteuid() else {
            throw StartupError("The folder \(path) belongs to another user: choose another state_dir.")
        }
        guard status.permissions & 0o077 != 0 else { return }
        guard fchmod(folder, 0o700) == 0 else {
            throw StartupError("Others may look into the folder \(path): run chmod 700 on it.")
        }
    }

    private static func absolute(_ path: String) throws(StartupError) -> String {
        if path.hasPrefix("/") { return path }
        guard let buffer = getcwd(nil, 0) else {
            throw StartupError("The working directory is gone: give state_dir an absolute path.")
        }
        defer { free(buffer) }
        return String(cString: buffer) + "/" + path
    }
}

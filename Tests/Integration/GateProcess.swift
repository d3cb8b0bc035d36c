import Foundation
import PortcullisReactor
import TestKit

/// `portcullis serve` as people run it, in a process of its own that can be stopped from running.
final class GateProcess {
    /// The program, as the package manager built it beside the tests.
    static let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "portcullis").path
    /// The optimised program, where it was built: of the same package manager's folder.
    static let release = URL(filePath: program).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "release/portcullis").path

    let pid: pid_t
    private let log: String
    private let config: String
    private let first: String
    /// The file of the secret.
    let key: String
    private var hasEnded = false

    /// - Parameters:
    ///   - settings: further lines of the configuration.
    ///   - tokens: whose tokens are accepted, in place of those that the secret signs.
    ///   - environment: further variables.
    init(
        _ redis: RedisServer,
        program: String = GateProcess.program,
        secret: [UInt8],
        settings: String,
        tokens: String? = nil,
        environment: [String: String] = [:]
    ) throws {
        let folder = redis.directory.path
        key = folder + "/secret"
        try Data(secret).write(to: URL(filePath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        config = folder + "/portcullis.yaml"
        first = """
            listen: 127.0.0.1:0
            admin: 127.0.0.1:0
            state_dir: \(folder)/state
            redis: {url: "unix://\(redis.socket)"}
            tokens: {\(tokens ?? #"secret_file: "\#(key)""#)}

            """
        try Data((first + settings).utf8).write(to: URL(filePath: config))
        log = folder + "/gate.log"
        pid = try Self.start(program, ["serve", "--config", config], output: log, environment)
    }

    /// Writes its configuration anew; it is read at SIGHUP.
    func configure(_ settings: String) throws {
        try Data((first + settings).utf8).write(to: URL(filePath: config))
    }

    func signal(_ number: Int32) {
        kill(pid, number)
    }

    /// What it has logged.
    var said: String {
        String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
    }

    /// Waits until it has logged a text so often.
    func wait(for text: String, times: Int = 1) throws {
        for _ in 0..<2000 {
            if said.ranges(of: text).count >= times { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw World.Vain(description: "the gate did not say \(text): \(said)")
    }

    /// Waits until it has ended.
    /// - Returns: its exit code; -1 where a signal ended it.
    func exitCode() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        hasEnded = true
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -1
    }

    deinit {
        guard !hasEnded else { return }
        // It may stand still: SIGKILL ends it all the same.
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// Not by Foundation's Process, whose one thread for all children waits for as long as the redis-server of a test runs.
    private static func start(
        _ program: String,
        _ words: [String],
        output: String,
        _ more: [String: String]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PORTCULLIS_") }
            .merging(more) { $1 }
        let texts = [([program] + words).map { strdup($0) } + [nil], environment.map { strdup("\($0)=\($1)") } + [nil]]
        defer { for text in texts.joined() { free(text) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, program, &actions, nil, texts[0], texts[1])
        guard failure == 0 else { throw SocketError("start \(program)", errno: failure) }
        return pid
    }

    /// Where it listens, once it admits connections and has all descriptors of its own.
    func endpoint() throws -> Endpoint {
        for _ in 0..<2000 {
            let text = said
            if text.contains("admitting connections"), text.contains("admin API is listening"),
                let found = text.firstMatch(of: /listening.*?address="?127\.0\.0\.1:(\d+)/), let port = UInt16(found.1)
            {
                return .tcp(address: "127.0.0.1", port: port)
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw World.Vain(description: "the gate did not start: \(said)")
    }

    /// How many descriptors it has of each kind. Which of them it is does not matter: it may have made its links to Redis anew.
    func descriptors() throws -> [String: Int] {
        let folder = "/proc/\(pid)/fd/"
        let kinds = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { number in
            // One may be closed in between.
            try? FileManager.default.destinationOfSymbolicLink(atPath: folder + number)
        }.map { $0.hasPrefix("socket:") ? "socket" : $0 }
        return Dictionary(kinds.map { ($0, 1) }, uniquingKeysWith: +)
    }

    /// Those that it has more of than it had.
    func descriptors(beyond before: [String: Int]) throws -> [String: Int] {
        try descriptors().filter { $0.value > before[$0.key] ?? 0 }
    }

    /// Stops it from running, and waits until it stands.
    func pause() throws {
        kill(pid, SIGSTOP)
        for _ in 0..<3000 {
            let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
            if stat.contains(") T ") { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw World.Vain(description: "the gate did not stop")
    }

    func resume() {
        kill(pid, SIGCONT)
    }
}

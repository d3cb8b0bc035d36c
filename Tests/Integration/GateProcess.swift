import Foundation
import PortcullisReactor
import TestKit

/// `portcullis serve` as people run it, in a process of its own that can be stopped from running.
final class GateProcess {
    /// The program, as the package manager built it beside the tests.
    static let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "portcullis").path

    private let pid: pid_t
    private let log: String

    /// - Parameter settings: further lines of the configuration.
    init(_ redis: RedisServer, secret: [UInt8], settings: String) throws {
        let folder = redis.directory.path
        let key = folder + "/secret"
        try Data(secret).write(to: URL(filePath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        let config = folder + "/portcullis.yaml"
        let lines = """
            listen: 127.0.0.1:0
            admin: 127.0.0.1:0
            state_dir: \(folder)/state
            redis: {url: "unix://\(redis.socket)"}
            tokens: {secret_file: "\(key)"}

            """
        try Data((lines + settings).utf8).write(to: URL(filePath: config))
        log = folder + "/gate.log"
        pid = try Self.start(["serve", "--config", config], output: log)
    }

    deinit {
        // It may stand still: SIGKILL ends it all the same.
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// Not by Foundation's Process, whose one thread for all children waits for as long as the redis-server of a test runs.
    private static func start(_ words: [String], output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PORTCULLIS_") }
        let texts = [([program] + words).map { strdup($0) } + [nil], environment.map { strdup("\($0)=\($1)") } + [nil]]
        defer { for text in texts.joined() { free(text) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, program, &actions, nil, texts[0], texts[1])
        guard failure == 0 else { throw SocketError("start \(program)", errno: failure) }
        return pid
    }

    /// Where it listens, once it admits connections.
    func endpoint() throws -> Endpoint {
        for _ in 0..<2000 {
            let text = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
            if text.contains("admitting connections"),
                let found = text.firstMatch(of: /listening.*?address="?127\.0\.0\.1:(\d+)/), let port = UInt16(found.1)
            {
                return .tcp(address: "127.0.0.1", port: port)
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        let said = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        throw World.Vain(description: "the gate did not start: \(said)")
    }

    /// Stops it from running, and waits until it stands.
    func pause() throws {
        kill(pid, SIGSTOP)
        for _ in 0..<500 {
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

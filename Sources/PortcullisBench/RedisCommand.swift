import ArgumentParser
import Glibc
import PortcullisRedis
import PortcullisTokens

/// `portcullis-bench redis`: keeps a Redis of the bench's own in a directory of its own, and leaves neither behind.
struct RedisCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis",
        abstract: "Keeps a Redis until standard input ends.",
        shouldDisplay: false
    )

    func run() throws {
        // An interrupt from a terminal reaches the whole group; this process must outlive it to clean up.
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { signal(number, SIG_IGN) }
        var template = Array("/tmp/portcullis-bench.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchFailure("make a directory", errno: errno) }
        let directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer { rmdir(directory) }
        let path = directory + "/redis.sock"
        // Keys are written by whom this process serves, who may not live to remove them.
        defer { for file in [path] + Algorithm.allCases.map({ directory + "/" + $0.rawValue }) { unlink(file) } }
        let redis = try start(directory, path)
        defer {
            kill(redis, SIGTERM)
            waitpid(redis, nil, 0)
        }
        try awaitReady(path)
        ServerOptions.announce(path)
        var byte: UInt8 = 0
        while read(STDIN_FILENO, &byte, 1) != 0 {}
    }

    private func start(_ directory: String, _ path: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        let words = [
            "redis-server", "--port", "0", "--unixsocket", path, "--dir", directory, "--appendonly", "no", "--save", "",
            "--maxmemory-policy", "noeviction",
        ]
        return try spawn("redis-server", words, &actions).get()
    }

    private func awaitReady(_ path: String) throws {
        let url = RedisURL(place: .path(path))
        for _ in 0..<500 {
            if (try? BlockingConnection(url)) != nil { return }
            Machine.sleep(milliseconds: 10)
        }
        throw BenchFailure("redis-server did not answer within 5 s.")
    }
}

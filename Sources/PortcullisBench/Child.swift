import Glibc

/// This program once more, as a process of its own. It ends with its standard input, so it outlives this process in no case: not when
/// it fails, nor when it is interrupted or killed.
final class Child {
    let process: pid_t
    /// What it announced: an address.
    private(set) var place = ""
    private let input: Int32
    private let output: Int32
    private var hasEnded = false

    /// Starts it and waits until it says that it listens.
    init(_ arguments: [String]) throws {
        let toChild = try Self.pipe()
        let fromChild = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild.read, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, fromChild.write, STDOUT_FILENO)
        let result = spawn("/proc/self/exe", ["portcullis-bench"] + arguments, &actions)
        close(toChild.read)
        close(fromChild.write)
        input = toChild.write
        output = fromChild.read
        process = try result.get()
        let line = try readLine()
        guard line.hasPrefix("listening ") else { throw BenchFailure("A server did not start: \(arguments[0]).") }
        place = String(line.dropFirst("listening ".count))
    }

    deinit {
        stop()
    }

    /// The port of the place.
    var port: UInt16 {
        UInt16(place.split(separator: ":").last ?? "") ?? 0
    }

    func tell(_ byte: UInt8) {
        var byte = byte
        _ = Glibc.write(input, &byte, 1)
    }

    /// Ends its standard input and waits for its own end.
    func stop() {
        guard !hasEnded else { return }
        hasEnded = true
        close(input)
        close(output)
        for _ in 0..<300 {
            if waitpid(process, nil, WNOHANG) != 0 { return }
            Machine.sleep(milliseconds: 10)
        }
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    // MARK: - What it uses

    func processorTime() throws -> UInt64 {
        try Machine.processorTime(of: process)
    }

    /// Waits until it has nothing more to do, so that what it did late is counted where it belongs.
    func settle() throws {
        var quiet = 0
        var before = try processorTime()
        for _ in 0..<1000 {
            Machine.sleep(milliseconds: 20)
            let after = try processorTime()
            // A gate's own duties take less than this.
            quiet = after - before < 1_000_000 ? quiet + 1 : 0
            if quiet == 3 { return }
            before = after
        }
    }

    // MARK: - Pipes

    /// What it says next; empty where it has ended.
    func readLine() throws -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while Glibc.read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    /// A pipe that no child inherits unless it is told to: else one child would keep another's standard input open.
    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw BenchFailure("make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}

/// Starts a program with these words.
func spawn(
    _ path: String,
    _ words: [String],
    _ actions: inout posix_spawn_file_actions_t
) -> Result<pid_t, BenchFailure> {
    var process: pid_t = 0
    // Copies of the words that live until the call is over.
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    let failure = posix_spawnp(&process, path, &actions, nil, &arguments, environ)
    return failure == 0 ? .success(process) : .failure(BenchFailure("start \(path)", errno: failure))
}

import CLinux
import Glibc
import Logging
import Synchronization

/// Whose Redis it is that runs in a state directory.
enum RedisTenure: Equatable, Sendable {
    /// This gate started it and stops it.
    case started
    /// It was left behind by a gate that died; this one stops it.
    case takenOver
    /// It is another gate's, which runs.
    case shared
}

/// Finds or starts the Redis of a state directory, and stops it. All of it blocks.
struct RedisHouse: Sendable {
    /// A Redis that answers.
    struct Tenant: Sendable {
        let process: ProcessHandle
        let tenure: RedisTenure
    }

    let directory: StateDirectory
    let searchPath: String
    let logger: Logger
    /// Whether to give up: a Redis may read its data for minutes.
    let isStopping: @Sendable () -> Bool
    /// How long a Redis may say nothing at all, in milliseconds.
    var patience: Int64 = 5000

    /// The Redis of the directory.
    ///
    /// - Parameter lock: The possession of the directory, taken where it is free.
    func obtain(_ lock: inout StateLock?) throws(StartupError) -> Tenant {
        if lock == nil { lock = try directory.acquireLock() }
        if lock == nil, let process = try share(&lock) { return Tenant(process: process, tenure: .shared) }
        if let process = try takeOver() { return Tenant(process: process, tenure: .takenOver) }
        return Tenant(process: try start(), tenure: .started)
    }

    /// Stops it: by its own command, else by SIGTERM, else by SIGKILL.
    func stop(_ process: ProcessHandle) {
        if RedisKnock.ping(directory.redisSocket, within: 200) != .ready(process.pid)
            || !RedisKnock.shutDown(directory.redisSocket, within: patience)
        {
            process.send(SIGTERM)
        }
        if !process.waitForEnd(within: patience) {
            logger.warning("redis-server did not end in time and is killed", metadata: ["pid": "\(process.pid)"])
            process.send(SIGKILL)
            _ = process.waitForEnd(within: patience)
        }
        unlink(directory.redisProcess)
        unlink(directory.redisSocket)
    }

    /// The Redis of the gate that has the directory; nil where that gate gave it back meanwhile, and this one has it now.
    private func share(_ lock: inout StateLock?) throws(StartupError) -> ProcessHandle? {
        var found: ProcessHandle?
        var taken: StateLock?
        let ready = wait {
            switch RedisKnock.ping(directory.redisSocket, within: 500) {
            case .ready(let pid):
                found = ProcessHandle.find(pid)
                return found == nil ? .wait : .done
            case .loading: return .patience
            case .silent, .nobody:
                taken = (try? directory.acquireLock()) ?? nil
                return taken == nil ? .wait : .done
            }
        }
        lock = taken
        guard ready else {
            let why = "Another gate has \(directory.path), but its redis-server does not answer"
            throw StartupError("\(why): wait for it, or give another state_dir or --redis URL.")
        }
        if let found {
            logger.notice(
                "using the redis-server of another gate on this machine",
                metadata: ["pid": "\(found.pid)", "socket": "\(directory.redisSocket)"]
            )
        }
        return found
    }

    /// A Redis that runs here though no gate does; nil where there is none, or where it had to be ended.
    private func takeOver() throws(StartupError) -> ProcessHandle? {
        let listener: pid_t? =
            switch RedisKnock.ping(directory.redisSocket, within: 500) {
            case .ready(let pid), .loading(let pid): pid
            case .silent(let pid): pid
            case .nobody: nil
            }
        if let listener, !RedisProgram.isRedis(listener) {
            throw StartupError(
                "Process \(listener) listens on \(directory.redisSocket) and is no redis-server: stop it, or set state_dir anew."
            )
        }
        // One that does not listen yet is known by its pid file. It writes the same files as the one that would be started.
        guard let pid = listener ?? writtenProcess(), let process = ProcessHandle.find(pid) else { return nil }
        let metadata: Logger.Metadata = ["pid": "\(pid)", "socket": "\(directory.redisSocket)"]
        if awaitReady(process) {
            SmallFile.write("\(pid)\n", to: directory.redisProcess)
            logger.notice("taking over the redis-server that a gate left behind", metadata: metadata)
            return process
        }
        logger.warning("a redis-server was left behind and does not answer: ending it", metadata: metadata)
        stop(process)
        return nil
    }

    private func writtenProcess() -> pid_t? {
        guard let text = SmallFile.read(directory.redisProcess), let line = text.split(separator: "\n").first,
            let pid = pid_t(line), pid > 1, RedisProgram.runs(pid, on: directory)
        else { return nil }
        return pid
    }

    private func start() throws(StartupError) -> ProcessHandle {
        let began = MonotonicClock.milliseconds()
        let program = try RedisProgram(searchPath: searchPath)
        try directory.prepare(folder: directory.redisData)
        let log = try openLog()
        defer { close(log) }
        let process = try ProcessHandle.start(program.path, RedisProgram.arguments(directory), log: log)
        if !SmallFile.write("\(process.pid)\n", to: directory.redisProcess) {
            logger.warning(
                "the pid file of redis-server cannot be written",
                metadata: ["file": "\(directory.redisProcess)"]
            )
        }
        guard awaitReady(process) else {
            stop(process)
            throw StartupError(
                "\(program.path) did not come up (\(lastWords)): read \(directory.redisLog), or give --redis URL."
            )
        }
        let metadata: Logger.Metadata = [
            "pid": "\(process.pid)", "socket": "\(directory.redisSocket)",
            "ms": "\(MonotonicClock.milliseconds() - began)",
        ]
        logger.info("redis-server started", metadata: metadata)
        return process
    }

    /// The log of this start and the ones before, up to a bound.
    private func openLog() throws(StartupError) -> Int32 {
        let status = portcullis_lstat(directory.redisLog)
        if status.error == 0, status.size > 4 << 20 {
            rename(directory.redisLog, directory.redisLog + ".1")
        }
        let log = open(directory.redisLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard log >= 0 else {
            throw StartupError(
                "The file \(directory.redisLog) cannot be written (\(systemText(errno))): set state_dir anew."
            )
        }
        return log
    }

    private var lastWords: String {
        let lines = SmallFile.tail(directory.redisLog)?.split(separator: "\n") ?? []
        return lines.last.map { LogText.escaped(String($0.prefix(200))) } ?? "it said nothing"
    }

    private func awaitReady(_ process: ProcessHandle) -> Bool {
        var isLoading = false
        return wait {
            guard process.isRunning else { return .failed }
            switch RedisKnock.ping(directory.redisSocket, within: 500) {
            case .ready(process.pid): return .done
            case .loading:
                if !isLoading { logger.info("redis-server is reading its data", metadata: ["pid": "\(process.pid)"]) }
                isLoading = true
                return .patience
            case .ready, .silent, .nobody: return .wait
            }
        }
    }

    private enum Step {
        case done
        case failed
        /// Nothing yet.
        case wait
        /// Nothing yet, but it is under way: the time begins anew.
        case patience
    }

    /// Repeats a step until it is done or the time is up. It begins with a millisecond between two: Redis needs about ten.
    private func wait(_ step: () -> Step) -> Bool {
        var deadline = MonotonicClock.milliseconds() + patience
        var pause: UInt32 = 1
        while !isStopping() {
            switch step() {
            case .done: return true
            case .failed: return false
            case .wait: break
            case .patience: deadline = MonotonicClock.milliseconds() + patience
            }
            guard MonotonicClock.milliseconds() < deadline else { return false }
            usleep(pause * 1000)
            pause = min(pause * 2, 20)
        }
        return false
    }
}

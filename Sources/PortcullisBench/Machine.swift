import Glibc

/// What the bench asks of the machine: descriptors, cores, clocks and the accounts of a process.
enum Machine {
    /// Raises the limit of open files as far as it goes.
    /// - Returns: how many files this process may open.
    static func raiseFileLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }

    /// Binds this process to one core.
    static func pin(to core: Int) throws {
        typealias Call = @convention(c) (pid_t, Int, UnsafeRawPointer) -> Int32
        // Glibc hides it from Swift (_GNU_SOURCE): looked up by name. Its C type is the one of the manual page.
        guard let symbol = dlsym(nil, "sched_setaffinity") else { throw BenchFailure("There is no sched_setaffinity.") }
        let call = unsafeBitCast(symbol, to: Call.self)
        var mask = UInt64(1) << UInt64(core & 63)
        guard call(0, MemoryLayout<UInt64>.size, &mask) == 0 else {
            throw BenchFailure("bind the process to core \(core)", errno: errno)
        }
    }

    // MARK: - Clocks

    /// CLOCK_MONOTONIC in nanoseconds.
    static func now() -> UInt64 {
        read(CLOCK_MONOTONIC)
    }

    /// What this thread has used of a core, in nanoseconds.
    static func ownTime() -> UInt64 {
        read(CLOCK_THREAD_CPUTIME_ID)
    }

    /// What a process has used of all cores, in nanoseconds: user and system, as in /proc/<pid>/stat, but not in ticks of 10 ms.
    static func processorTime(of process: pid_t) throws -> UInt64 {
        var clock = clockid_t()
        let failure = clock_getcpuclockid(process, &clock)
        guard failure == 0 else { throw BenchFailure("read the clock of process \(process)", errno: failure) }
        return read(clock)
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    static func sleep(milliseconds: Int) {
        usleep(UInt32(clamping: milliseconds * 1000))
    }

    /// How many programs wanted a core, on average over the last minute.
    static func load() -> Double {
        var loads = [0.0]
        return getloadavg(&loads, 1) == 1 ? loads[0] : 0
    }

    // MARK: - Descriptors

    /// How many files a process has open.
    static func descriptors(of process: pid_t) throws -> Int {
        guard let folder = opendir("/proc/\(process)/fd") else {
            throw BenchFailure("open /proc/\(process)/fd", errno: errno)
        }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // The folder and its parent.
        return count - 2
    }

    // MARK: - Memory

    /// The resident memory of a process in bytes. From smaps_rollup, which counts pages: VmRSS in /proc/<pid>/status is a sum of
    /// per-core counters that may be off by some hundred KiB, too much for a thousand connections.
    static func residentBytes(of process: pid_t) throws -> Int {
        let text = try contents("/proc/\(process)/smaps_rollup")
        for line in text.split(separator: "\n") where line.hasPrefix("Rss:") {
            let fields = line.split(separator: " ")
            if fields.count > 1, let kilobytes = Int(fields[1]) { return kilobytes * 1024 }
        }
        throw BenchFailure("/proc/\(process)/smaps_rollup has no line Rss.")
    }

    static func contents(_ path: String) throws -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw BenchFailure("open \(path)", errno: errno) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = part.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += part.prefix(count)
        }
    }
}

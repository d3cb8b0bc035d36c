import CLinux
import Foundation
import Logging
import ServiceLifecycle
import Testing

@testable import PortcullisControl

private let hasRedis = (try? RedisProgram(searchPath: ProcessInfo.processInfo.environment["PATH"] ?? "")) != nil

/// Waits for a process to be another than `old`; nil where that takes longer than thirty seconds.
private func nextProcess(of redis: EmbeddedRedis, after old: Int32) async -> Int32? {
    for _ in 0..<6000 {
        if let pid = redis.processID, pid != old { return pid }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return nil
}

/// Whether a process has ended within thirty seconds.
private func hasEnded(_ pid: Int32) async -> Bool {
    guard let process = ProcessHandle.find(pid) else { return true }
    return await onOwnThread("wait") { process.waitForEnd(within: 30_000) }
}

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

@Suite(.enabled(if: hasRedis, "redis-server is not installed: apt-get install redis-server"))
struct EmbeddedRedisTests {
    @Test func itIsStartedAndLeavesNothingBehind() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let redis = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await redis.start()
        let pid = try #require(redis.processID)
        #expect(redis.tenure == .started)
        #expect(redis.url == "unix://\(folder.path)/state/redis.sock")
        #expect(RedisKnock.ping(folder.state.redisSocket, within: 10_000) == .ready(pid))
        #expect(try folder.permissions(folder.state.redisSocket) == 0o700)
        #expect(try folder.permissions(folder.state.redisData) == 0o700)
        #expect(SmallFile.read(folder.state.redisProcess) == "\(pid)\n")
        // A session of its own: Ctrl-C goes to the terminal's, and the gate stops its Redis itself.
        #expect(getsid(pid) == pid)

        await redis.stop()
        #expect(redis.processID == nil)
        #expect(RedisProgram.isRedis(pid) == false)
        #expect(RedisKnock.ping(folder.state.redisSocket, within: 100) == .nobody)
        #expect(SmallFile.read(folder.state.redisProcess) == nil)
        await redis.stop()
        await #expect(throws: StartupError.self) { try await redis.start() }
    }

    @Test func whatItHoldsOutlivesIt() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let first = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await first.start()
        #expect(ask(folder, "SET", "k", "kept") == "+OK")
        await first.stop()

        let second = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await second.start()
        #expect(ask(folder, "EXISTS", "k") == ":1")
        for (name, value) in [("appendonly", "yes"), ("maxmemory-policy", "noeviction"), ("appendfsync", "everysec")] {
            #expect(ask(folder, "CONFIG", "GET", name) == "*2")
            #expect(ask(folder, "CONFIG", "SET", name, value) == "+OK")
        }
        await second.stop()
    }

    @Test func aServerThatDiesIsStartedAgain() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let redis = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await redis.start()
        let first = try #require(redis.processID)
        let group = ServiceGroup(services: [redis], logger: quiet)
        async let running: Void = group.run()

        kill(first, SIGKILL)
        let second = try #require(await nextProcess(of: redis, after: first))
        #expect(RedisKnock.ping(folder.state.redisSocket, within: 10_000) == .ready(second))
        kill(second, SIGTERM)
        let third = try #require(await nextProcess(of: redis, after: second))

        await group.triggerGracefulShutdown()
        try await running
        #expect(await hasEnded(third))
        #expect(RedisKnock.ping(folder.state.redisSocket, within: 100) == .nobody)
    }

    @Test func anOrphanIsTakenOver() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        try folder.state.prepare(folder: folder.state.redisData)
        let log = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(log) }
        let program = try RedisProgram(searchPath: ProcessInfo.processInfo.environment["PATH"] ?? "")
        let orphan = try ProcessHandle.start(program.path, RedisProgram.arguments(folder.state), log: log)
        // As a gate leaves it that dies right after the start: the socket may not be there yet, the file is.
        SmallFile.write("\(orphan.pid)\n", to: folder.state.redisProcess)

        let redis = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await redis.start()
        #expect(redis.tenure == .takenOver)
        #expect(redis.processID == orphan.pid)
        await redis.stop()
        #expect(!orphan.isRunning)
    }

    @Test func anOrphanThatDoesNotAnswerIsEnded() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let searchPath = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let never: @Sendable () -> Bool = { false }
        let house = RedisHouse(
            directory: folder.state,
            searchPath: searchPath,
            logger: quiet,
            isStopping: never,
            patience: 5000
        )
        let pids = try await onOwnThread("house") {
            Result {
                var lock: StateLock?
                let first = try house.obtain(&lock).process
                first.send(SIGSTOP)
                let second = try house.obtain(&lock)
                defer { house.stop(second.process) }
                return (first.isRunning, second.tenure, first.pid != second.process.pid)
            }
        }.get()
        #expect(pids == (false, .started, true))
    }

    @Test func aGateOnTheSameFolderSharesItAndInheritsIt() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let owner = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await owner.start()
        let pid = try #require(owner.processID)
        let guest = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await guest.start()
        #expect(guest.isShared && !owner.isShared)
        #expect(guest.processID == pid)

        let passing = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await passing.start()
        await passing.stop()
        #expect(RedisKnock.ping(folder.state.redisSocket, within: 10_000) == .ready(pid))

        let group = ServiceGroup(services: [guest], logger: quiet)
        async let running: Void = group.run()
        await owner.stop()
        let next = try #require(await nextProcess(of: guest, after: pid))
        #expect(guest.tenure == .started)
        await group.triggerGracefulShutdown()
        try await running
        #expect(await hasEnded(next))
    }

    @Test func aServerThatCannotStartIsNamed() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let missing = EmbeddedRedis(directory: folder.state, searchPath: folder.path, logger: quiet)
        let error = await #expect(throws: StartupError.self) { try await missing.start() }
        let sentence =
            "There is no redis-server here: install it with: apt-get install redis-server, or give --redis URL"
        #expect(error?.description == sentence)

        let program = folder.path + "/redis-server"
        try Data("#!/bin/sh\necho 'no luck today'\nexit 7\n".utf8).write(to: URL(filePath: program))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        let broken = EmbeddedRedis(directory: folder.state, searchPath: folder.path, logger: quiet)
        let failed = await #expect(throws: StartupError.self) { try await broken.start() }
        #expect(failed?.description.contains("did not come up (no luck today)") == true)

        // What failed gives the folder back.
        let redis = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await redis.start()
        #expect(redis.tenure == .started)
        await redis.stop()
    }

    @Test func theServerInheritsNothing() async throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let redis = EmbeddedRedis(directory: folder.state, logger: quiet)
        try await redis.start()
        let pid = try #require(redis.processID)
        let status = try #require(SmallFile.read("/proc/\(pid)/status"))
        #expect(status.contains("PPid:\t\(getpid())\n"))
        #expect(status.contains("SigBlk:\t0000000000000000\n"))
        for descriptor in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd") {
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(descriptor)")
            #expect(target?.hasSuffix("/lock") != true)
        }
        await redis.stop()
    }

    /// The first line of the answer to a command.
    private func ask(_ folder: TemporaryFolder, _ words: String...) -> String? {
        guard let socket = try? UnixSocket(connectingTo: folder.state.redisSocket) else { return nil }
        let command = "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        return socket.send(command) ? socket.line(within: 10_000) : nil
    }
}

@Suite struct SpawnTests {
    @Test func aChildDiesWithTheThreadThatStartedIt() async throws {
        // That thread ends at once. It ends no later where the process is killed, which a test cannot do to itself.
        let spawned = await onOwnThread("parent") { Self.spawn("/bin/sleep", "60") }
        try #require(spawned.error == 0 && spawned.pid > 0)
        #expect(await hasEnded(spawned.pid))
        var status: Int32 = 0
        #expect(waitpid(spawned.pid, &status, 0) == spawned.pid)
        #expect(status & 0x7F == SIGTERM)
        close(spawned.pidfd)
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect(Self.spawn("/nowhere/program").error == ENOENT)
        #expect(Self.spawn("/tmp").error == EACCES)
    }

    private static func spawn(_ program: String, _ arguments: String...) -> portcullis_spawned {
        var texts: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for text in texts { free(text) } }
        return portcullis_spawn(program, &texts, 2, SIGTERM)
    }
}

import CLinux
import Foundation
import Glibc
import Synchronization

/// A program that the demo runs. It cannot outlive the demo: the kernel ends it with the thread that started it.
final class Child: Sendable {
    private struct State {
        /// The exit status, or 128 and the number of the signal.
        var status: Int32?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    let pid: pid_t
    private let state = Mutex(State())

    private init(pid: pid_t) {
        self.pid = pid
    }

    /// Starts a program.
    ///
    /// - Parameter output: where its output and its errors go.
    static func start(_ program: String, _ arguments: [String], output: Int32) async throws(Failure) -> Child {
        let result = await withCheckedContinuation { continuation in
            // The signal at the end of the demo hangs on the thread: it stays until the child has ended.
            Thread.detachNewThread {
                let spawned = spawn([program] + arguments, output)
                guard spawned.pid > 0 else {
                    return continuation.resume(
                        returning: Result<Child, Failure>.failure(.noStart(program, spawned.error))
                    )
                }
                let child = Child(pid: spawned.pid)
                if spawned.pidfd >= 0 { close(spawned.pidfd) }
                continuation.resume(returning: .success(child))
                child.awaitEnd()
            }
        }
        return try result.get()
    }

    /// Runs a program to its end.
    ///
    /// - Returns: what it said, and its exit status.
    static func output(_ program: String, _ arguments: [String]) async throws(Failure) -> (text: String, status: Int32)
    {
        let file = FileManager.default.temporaryDirectory.appending(path: "portcullis-\(UInt64.random(in: 0 ... .max))")
        let descriptor = open(file.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("There is no room for a temporary file in \(file.path).") }
        unlink(file.path)
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let status = try await start(program, arguments, output: descriptor).end()
        try? handle.seek(toOffset: 0)
        let data = (try? handle.readToEnd()) ?? Data()
        return (String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines), status)
    }

    /// Waits for its end.
    func end() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = state.withLock { state -> Int32? in
                if state.status == nil { state.waiting.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    var isRunning: Bool {
        state.withLock { $0.status == nil }
    }

    /// Sends a signal; nothing happens where it has ended.
    func send(_ signal: Int32) {
        // Under the lock the child is not waited for yet, so the pid is still its own.
        state.withLock { state in
            if state.status == nil { kill(pid, signal) }
        }
    }

    private func awaitEnd() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        let (status, waiting) = state.withLock { state in
            var raw: Int32 = 0
            while waitpid(pid, &raw, 0) == -1, errno == EINTR {}
            // As the macros WIFEXITED and WEXITSTATUS say, which Swift cannot import.
            let status = raw & 0x7F == 0 ? (raw >> 8) & 0xFF : 128 + (raw & 0x7F)
            state.status = status
            defer { state.waiting = [] }
            return (status, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: status) }
    }

    private static func spawn(_ words: [String], _ output: Int32) -> portcullis_spawned {
        var texts: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        texts.append(nil)
        defer { for text in texts { free(text) } }
        // Safe: the array ends with nil and outlives the call, which only reads it.
        return portcullis_spawn(words[0], texts, output, SIGTERM)
    }
}

/// Why the demo could not go on: one sentence.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ sentence: String) {
        description = sentence
    }

    static func noStart(_ program: String, _ error: Int32) -> Failure {
        Failure("\(program) could not be started: \(String(cString: strerror(error))).")
    }
}

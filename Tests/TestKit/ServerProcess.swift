import Foundation
import PortcullisReactor

/// A server of a test's own that cannot outlive it: it ends when this process does, also when that dies without a word.
///
/// Not by Foundation's `Process`: one thread of its waits for all children, in the order in which they close what they inherit; a server that
/// is stopped before an older one would be waited for without end.
final class ServerProcess: Sendable {
    private let child: pid_t
    /// The writing end of the child's standard input; -1 where it has been stopped.
    private let keepAlive: Locked<Int32>

    private final class Locked<Value: Sendable>: @unchecked Sendable {
        // Sendable: the value is touched under the lock.
        private let lock = NSLock()
        private var value: Value

        init(_ value: Value) {
            self.value = value
        }

        func exchange(_ new: Value) -> Value {
            lock.withLock {
                defer { value = new }
                return value
            }
        }
    }

    /// Starts a program.
    /// - Parameters:
    ///   - words: as the shell reads them.
    ///   - log: where its output goes.
    init(_ words: [String], log: String) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SocketError("make a pipe", errno: errno) }
        // So that no other child holds this one's input open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        // The shell ends the server when its standard input does. SIGKILL: this process may have SIGTERM blocked, and a child inherits that.
        // It closes what it inherited first.
        let closing = "for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -gt 2 ] && exec {n}>&-; done"
        let running = "\(words.joined(separator: " ")) >\(log) 2>&1 & pid=$!; disown"
        let script = "\(closing); \(running); read line; kill -9 $pid"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        var arguments: [UnsafeMutablePointer<CChar>?] = []
        for word in ["bash", "-c", script] { arguments.append(strdup(word)) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = -1
        let failure = posix_spawn(&child, "/bin/bash", &actions, nil, &arguments, environ)
        guard failure == 0 else {
            close(ends[1])
            throw SocketError("start \(words.first ?? "nothing")", errno: failure)
        }
        self.child = child
        keepAlive = Locked(ends[1])
    }

    deinit {
        stop()
    }

    /// Kills it and waits until it is gone.
    func stop() {
        let end = keepAlive.exchange(-1)
        guard end >= 0 else { return }
        close(end)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
    }
}

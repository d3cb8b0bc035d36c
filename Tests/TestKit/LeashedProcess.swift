import Glibc

/// A program that a test starts, and that ends with it: also when the test dies without a word.
///
/// A shell holds its leash: it ends the program when its own input ends, which the kernel sees to. Not Foundation's `Process`: that takes a
/// child for ended as soon as it has closed what it inherited, and then waits for it on the one thread that tells of all children.
public final class LeashedProcess: Sendable {
    private let shell: pid_t
    private let leash: Int32

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter command: for bash; its last program is what is ended, by SIGKILL: this process may have SIGTERM blocked, and a child
    ///   inherits that.
    public init(_ command: String) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure(description: "no pipe: \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        // What it inherited between the two calls above is closed: another's leash must not be held here.
        let closing = "for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -gt 2 ] && exec {n}>&-; done"
        let words = ["/bin/bash", "-c", "\(closing); \(command) & pid=$!; disown; read line; kill -9 $pid"]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        // Safe: the arrays live until the call returns, which has copied what they hold.
        let code = posix_spawn(&pid, words[0], &actions, nil, &arguments, environ)
        guard code == 0 else {
            close(ends[1])
            throw Failure(description: "bash did not start: \(code)")
        }
        shell = pid
        leash = ends[1]
    }

    /// Ends it and waits until it is gone. To be called once.
    public func end() {
        close(leash)
        var status: Int32 = 0
        while waitpid(shell, &status, 0) < 0, errno == EINTR {}
    }
}

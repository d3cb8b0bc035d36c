import CLinux
import Foundation
import Glibc
import Synchronization

/// A process that is a child of this one, or that was found.
///
/// It is named by a descriptor, so that a signal never hits another process which got its id later.
final class ProcessHandle: Sendable {
    /// How a process ended.
    enum End: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)
        /// It was no child of ours.
        case unknown

        var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .signalled(let number): "signal \(number)"
            case .unknown: "it ended"
            }
        }
    }

    private struct State {
        var end: End?
        var observers: [@Sendable (End) -> Void] = []
    }

    let pid: pid_t
    /// -1 where the kernel has none for it.
    private let descriptor: Int32
    private let state = Mutex(State())

    fileprivate init(pid: pid_t, descriptor: Int32) {
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Calls `observer` once, when the process has ended.
    func onEnd(_ observer: @escaping @Sendable (End) -> Void) {
        let end = state.withLock { state -> End? in
            if state.end == nil { state.observers.append(observer) }
            return state.end
        }
        if let end { observer(end) }
    }

    var end: End? { state.withLock { $0.end } }

    fileprivate func finish(_ end: End) {
        let observers = state.withLock { state -> [@Sendable (End) -> Void] in
            guard state.end == nil else { return [] }
            state.end = end
            defer { state.observers = [] }
            return state.observers
        }
        for observer in observers { observer(end) }
    }

    /// Sends a signal; nothing happens where the process has ended.
    func send(_ signal: Int32) {
        if descriptor >= 0 {
            _ = portcullis_pidfd_send_signal(descriptor, signal)
        } else if end == nil {
            kill(pid, signal)
        }
    }

    /// Blocks until the process has ended, and says whether it did in time.
    func waitForEnd(within milliseconds: Int64) -> Bool {
        let deadline = MonotonicClock.milliseconds() + milliseconds
        while true {
            if !isRunning { return true }
            let left = deadline - MonotonicClock.milliseconds()
            guard left > 0 else { return false }
            waitForChange(Int32(clamping: left))
        }
    }

    /// Whether it runs: a child that ended and was not waited for yet does not.
    var isRunning: Bool {
        guard end == nil else { return false }
        guard descriptor >= 0 else { return kill(pid, 0) == 0 || errno == EPERM }
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) == 0
    }

    private func waitForChange(_ milliseconds: Int32) {
        guard descriptor >= 0 else {
            usleep(10_000)
            return
        }
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&waiting, 1, milliseconds)
    }
}

extension ProcessHandle {
    /// Starts a program, with its output appended to a log. Blocks until it runs.
    ///
    /// The child gets SIGTERM when this process dies: the kernel sends it when the *thread* that forked ends, so that one
    /// waits for the child as long as it lives.
    static func start(_ program: String, _ arguments: [String], log: Int32) throws(StartupError) -> ProcessHandle {
        let started = DispatchSemaphore(value: 0)
        let result = Mutex<(handle: ProcessHandle?, error: Int32)>((nil, 0))
        startThread("redis-server") {
            let spawned = spawn(program, arguments, log: log)
            let handle = spawned.pid > 0 ? ProcessHandle(pid: spawned.pid, descriptor: spawned.pidfd) : nil
            result.withLock { $0 = (handle, spawned.error) }
            started.signal()
            guard let handle else { return }
            handle.finish(waitForChild(handle.pid))
        }
        started.wait()
        let (handle, error) = result.withLock { $0 }
        guard let handle else {
            throw StartupError(
                "\(program) cannot be started (\(systemText(error))): correct that, or give --redis URL."
            )
        }
        return handle
    }

    /// A process that is no child; nil where there is none.
    static func find(_ pid: pid_t) -> ProcessHandle? {
        let descriptor = portcullis_pidfd_open(pid)
        guard descriptor >= 0 || (errno != ESRCH && kill(pid, 0) == 0) else { return nil }
        let handle = ProcessHandle(pid: pid, descriptor: descriptor)
        startThread("redis-watch") {
            while !handle.waitForEnd(within: 3_600_000) {}
            handle.finish(.unknown)
        }
        return handle
    }

    private static func spawn(_ program: String, _ arguments: [String], log: Int32) -> portcullis_spawned {
        var texts: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        texts.append(nil)
        defer { for text in texts { free(text) } }
        // Safe: the array ends with nil and outlives the call, which only reads it.
        return portcullis_spawn(program, texts, log, SIGTERM)
    }

    private static func waitForChild(_ pid: pid_t) -> End {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) == -1 {
            guard errno == EINTR else { return .unknown }
        }
        // As the macros WIFEXITED and WEXITSTATUS say, which Swift cannot import.
        return status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .signalled(status & 0x7F)
    }
}

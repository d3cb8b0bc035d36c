import Glibc

/// The possession of a state directory, for as long as this value or the process lives.
final class StateLock: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}

extension StateDirectory {
    /// Takes possession; nil where another process has it. The kernel gives it back when the process dies, however it does.
    func acquireLock() throws(StartupError) -> StateLock? {
        let descriptor = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw StartupError("The file \(lock) cannot be opened (\(systemText(errno))): choose another state_dir.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = errno
            close(descriptor)
            if error == EWOULDBLOCK { return nil }
            throw StartupError("The file \(lock) cannot be locked (\(systemText(error))): choose another state_dir.")
        }
        return StateLock(descriptor: descriptor)
    }
}

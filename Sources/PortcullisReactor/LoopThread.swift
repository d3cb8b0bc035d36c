import CLinux
import Glibc

/// A thread of its own for a loop.
public struct LoopThread: Sendable {
    private let thread: pthread_t

    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Starts a thread.
    /// - Parameter name: at most 15 bytes, as `top` and `gdb` show it.
    public init(_ name: String, _ run: @escaping @Sendable () -> Void) throws(SocketError) {
        var thread = pthread_t()
        // The body is handed over: the new thread takes the reference that is retained here.
        let body = Unmanaged.passRetained(Body(run))
        let failure = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            },
            body.toOpaque()
        )
        guard failure == 0 else {
            body.release()
            throw SocketError("start a thread", errno: failure)
        }
        pthread_setname_np(thread, String(name.prefix(15)))
        self.thread = thread
    }

    /// Starts a thread that nobody waits for.
    public static func detached(_ name: String, _ run: @escaping @Sendable () -> Void) throws(SocketError) {
        pthread_detach(try LoopThread(name, run).thread)
    }

    /// Waits for its end; call once.
    public func join() {
        pthread_join(thread, nil)
    }
}

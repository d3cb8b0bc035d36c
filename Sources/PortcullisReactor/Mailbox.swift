import CLinux
import Glibc
public import Synchronization

/// Wakes a loop that waits.
public final class Waker: Sendable {
    let descriptor: Int32

    public init() throws(SocketError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard descriptor >= 0 else { throw SocketError("open an eventfd", errno: errno) }
    }

    deinit {
        close(descriptor)
    }

    public func wake() {
        eventfd_write(descriptor, 1)
    }

    func reset() {
        var count: eventfd_t = 0
        eventfd_read(descriptor, &count)
    }
}

/// Messages into a loop, from any thread, in the order in which they were posted.
///
/// It has no bound of its own: what posts into it is bounded (decisions by the log's pages, questions by the connections that ask).
public final class Mailbox<Message: Sendable>: Sendable {
    // Optional, so that who takes them out can take them one by one.
    @usableFromInline let messages = Mutex<[Message?]>([])
    @usableFromInline let hasMail = Atomic(false)
    public let waker: Waker

    public init() throws(SocketError) {
        waker = try Waker()
    }

    @inlinable
    public func post(_ message: Message) {
        let wasEmpty = messages.withLock { messages in
            messages.append(message)
            guard messages.count == 1 else { return false }
            // Under the lock: who posts behind this one and then looks must see that there is mail.
            hasMail.store(true, ordering: .releasing)
            return true
        }
        if wasEmpty { waker.wake() }
    }

    /// Takes out all that is there. Costs one load where there is nothing; an empty batch is exchanged for what is there, which copies
    /// nothing.
    @inlinable
    public func drain(into batch: inout [Message?]) {
        guard hasMail.load(ordering: .acquiring) else { return }
        messages.withLock { messages in
            hasMail.store(false, ordering: .relaxed)
            guard !batch.isEmpty else { return swap(&batch, &messages) }
            batch.append(contentsOf: messages)
            messages.removeAll(keepingCapacity: messages.capacity <= 1024)
        }
    }
}

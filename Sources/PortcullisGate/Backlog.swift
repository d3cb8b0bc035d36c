import PortcullisReactor

/// Messages that were taken out of a mailbox and wait for their turn, in order.
struct Backlog<Message: Sendable> {
    private var messages: [Message?] = []
    private var next = 0
    /// What comes out of a mailbox at once, used again and again.
    private var batch: [Message] = []

    var isEmpty: Bool {
        next == messages.count
    }

    var count: Int {
        messages.count - next
    }

    /// Takes what has come, behind what is there.
    mutating func fill(from mailbox: Mailbox<Message>) {
        mailbox.drain(into: &batch)
        for message in batch { append(message) }
        batch.removeAll(keepingCapacity: batch.capacity <= 1024)
    }

    mutating func append(_ message: Message) {
        // What is done is dropped when it is most of the list, so that each message is moved once at most.
        if next > 64, next > messages.count / 2 {
            messages.removeFirst(next)
            next = 0
        }
        messages.append(message)
    }

    mutating func popFirst() -> Message? {
        guard next < messages.count else { return nil }
        defer {
            messages[next] = nil
            next += 1
            if next == messages.count {
                messages.removeAll(keepingCapacity: next <= 1024)
                next = 0
            }
        }
        return messages[next]
    }
}

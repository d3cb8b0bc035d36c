import PortcullisReactor

/// Messages that were taken out of a mailbox and wait for their turn, in order.
struct Backlog<Message: Sendable> {
    private var messages: [Message?] = []
    private var next = 0

    var isEmpty: Bool {
        next == messages.count
    }

    var count: Int {
        messages.count - next
    }

    /// Takes what has come, behind what is there.
    mutating func fill(from mailbox: Mailbox<Message>) {
        // Where nothing is left it is exchanged as a whole.
        if !isEmpty { dropDone() }
        mailbox.drain(into: &messages)
    }

    mutating func append(_ message: Message) {
        dropDone()
        messages.append(message)
    }

    /// What is done is dropped when it is most of the list, so that each message is moved once at most.
    private mutating func dropDone() {
        guard next > 64, next > messages.count / 2 else { return }
        messages.removeFirst(next)
        next = 0
    }

    mutating func popFirst() -> Message? {
        guard next < messages.count else { return nil }
        let message = messages[next].take()
        next += 1
        if next == messages.count {
            messages.removeAll(keepingCapacity: messages.capacity <= 1024)
            next = 0
        }
        return message
    }
}

internal import NIOConcurrencyHelpers

/// Messages between the loop that reads them and the task that takes them, with a bound: above it the loop stops reading, and the
/// gate feels it.
final class InboundQueue: Sendable {
    fileprivate typealias Reader = CheckedContinuation<Received?, Never>
    fileprivate typealias Watcher = CheckedContinuation<Closed?, Never>

    fileprivate struct State {
        var messages: [Received] = []
        /// Where the next message stands in `messages`: taking from the front of an array would move the rest.
        var head = 0
        var bytes = 0
        var isFull = false
        var closed: Closed?
        var readers: [(id: UInt64, continuation: Reader)] = []
        var watchers: [(id: UInt64, continuation: Watcher)] = []
        var lastID: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let maximumBytes: Int
    private let maximumMessages: Int
    /// Called, on any thread, when there is room again after the queue was full.
    private let roomMade: @Sendable () -> Void

    init(maximumBytes: Int, maximumMessages: Int = 1024, roomMade: @escaping @Sendable () -> Void) {
        self.maximumBytes = maximumBytes
        self.maximumMessages = maximumMessages
        self.roomMade = roomMade
    }

    var closed: Closed? {
        state.withLockedValue(\.closed)
    }

    /// Adds a message and tells whether there is room for more. One that does not fit is added all the same: it is here already.
    func add(_ message: Received) -> Bool {
        let (reader, hasRoom) = state.withLockedValue { state -> (Reader?, Bool) in
            guard state.closed == nil else { return (nil, true) }
            if !state.readers.isEmpty { return (state.readers.removeFirst().continuation, true) }
            state.messages.append(message)
            state.bytes += message.payload.size
            // Full until half of it is taken, whatever else of the same read still comes: the loop has been told to stop, and `roomMade`
            // is what lets it go on.
            if state.bytes >= maximumBytes || state.count >= maximumMessages { state.isFull = true }
            return (nil, !state.isFull)
        }
        reader?.resume(returning: message)
        return hasRoom
    }

    /// Ends the queue; what is in it can still be taken. Only the first end counts.
    func finish(_ closed: Closed) {
        let (readers, watchers) = state.withLockedValue { state -> ([Reader], [Watcher]) in
            guard state.closed == nil else { return ([], []) }
            state.closed = closed
            defer {
                state.readers = []
                state.watchers = []
            }
            return (state.readers.map(\.continuation), state.watchers.map(\.continuation))
        }
        for reader in readers { reader.resume(returning: nil) }
        for watcher in watchers { watcher.resume(returning: closed) }
    }

    /// The next message; nil at the end, or when the task is cancelled.
    func next() async -> Received? {
        let id = makeID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Reader) in
                let step = state.withLockedValue { state -> Step in
                    if let message = state.takeFirst() {
                        return .take(message, madeRoom: state.empties(below: maximumBytes / 2, maximumMessages / 2))
                    }
                    // Looked at under the lock: a cancellation after it finds the reader in the list.
                    guard state.closed == nil, !Task.isCancelled else { return .end }
                    state.readers.append((id, continuation))
                    return .wait
                }
                switch step {
                case .take(let message, let madeRoom):
                    continuation.resume(returning: message)
                    if madeRoom { roomMade() }
                case .end: continuation.resume(returning: nil)
                case .wait: break
                }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private enum Step {
        case take(Received, madeRoom: Bool)
        case end
        case wait
    }

    /// Waits for the end; nil when the task is cancelled before it.
    func end() async -> Closed? {
        let id = makeID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Watcher) in
                let (isWaiting, closed) = state.withLockedValue { state -> (Bool, Closed?) in
                    guard state.closed == nil, !Task.isCancelled else { return (false, state.closed) }
                    state.watchers.append((id, continuation))
                    return (true, nil)
                }
                if !isWaiting { continuation.resume(returning: closed) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func makeID() -> UInt64 {
        state.withLockedValue { state in
            state.lastID &+= 1
            return state.lastID
        }
    }

    private func cancel(_ id: UInt64) {
        let (reader, watcher) = state.withLockedValue { state -> (Reader?, Watcher?) in
            let reader = state.readers.firstIndex { $0.id == id }.map { state.readers.remove(at: $0).continuation }
            let watcher = state.watchers.firstIndex { $0.id == id }.map { state.watchers.remove(at: $0).continuation }
            return (reader, watcher)
        }
        reader?.resume(returning: nil)
        watcher?.resume(returning: nil)
    }
}

extension InboundQueue.State {
    fileprivate var count: Int {
        messages.count - head
    }

    fileprivate mutating func takeFirst() -> Received? {
        guard head < messages.count else { return nil }
        let message = messages[head]
        head += 1
        bytes -= message.payload.size
        // In strides, so that each message is moved at most a few times.
        if head == messages.count || head >= 256 {
            messages.removeFirst(head)
            head = 0
        }
        return message
    }

    /// Whether a queue that was full has now emptied far enough to read on: not at each message, but at half.
    fileprivate mutating func empties(below bytes: Int, _ messages: Int) -> Bool {
        guard isFull, self.bytes <= bytes, count <= messages else { return false }
        isFull = false
        return true
    }
}

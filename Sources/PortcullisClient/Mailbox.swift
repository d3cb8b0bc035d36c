internal import NIOConcurrencyHelpers

/// Values between whoever adds them and the task that takes them, with a bound and a choice of what happens at it.
final class Mailbox<Element: Sendable>: Sendable {
    /// What happens to a value that comes when the bound is reached.
    enum Overflow {
        /// It is added all the same; whoever adds then waits with ``waitForRoom()`` before the next.
        case wait
        /// The oldest are dropped until it fits.
        case dropOldest
        /// All that waits is dropped, the new value too, and this stands in their place.
        case replaceAll(Element)
    }

    private typealias Reader = CheckedContinuation<Element?, Never>
    private typealias Writer = CheckedContinuation<Void, Never>

    private struct State {
        /// The next to be taken stands last: taking from the front of an array would move the rest.
        var front: [(element: Element, size: Int)] = []
        var back: [(element: Element, size: Int)] = []
        var bytes = 0
        var isFinished = false
        var isUnbounded = false
        var readers: [(id: UInt64, continuation: Reader)] = []
        var writers: [Writer] = []
        var lastID: UInt64 = 0

        var count: Int {
            front.count + back.count
        }

        mutating func take() -> Element? {
            if front.isEmpty {
                front = back.reversed()
                back = []
            }
            guard let (element, size) = front.popLast() else { return nil }
            bytes -= size
            return element
        }

        mutating func takeWriters() -> [Writer] {
            defer { writers = [] }
            return writers
        }
    }

    private let state = NIOLockedValueBox(State())
    private let maximumBytes: Int
    private let maximumCount: Int

    init(maximumBytes: Int, maximumCount: Int = 1024) {
        self.maximumBytes = max(maximumBytes, 1)
        self.maximumCount = max(maximumCount, 1)
    }

    /// Adds a value; false where the bound is reached. After the end nothing is added.
    @discardableResult
    func add(_ element: Element, size: Int = 0, overflow: Overflow = .wait) -> Bool {
        let (reader, hasRoom) = state.withLockedValue { state -> (Reader?, Bool) in
            guard !state.isFinished else { return (nil, true) }
            if !state.readers.isEmpty { return (state.readers.removeFirst().continuation, true) }
            if isFull(state) {
                switch overflow {
                case .wait:
                    break
                case .dropOldest:
                    while isFull(state), state.take() != nil {}
                case .replaceAll(let substitute):
                    state.front = []
                    state.back = [(substitute, 0)]
                    state.bytes = 0
                    return (nil, true)
                }
            }
            state.back.append((element, size))
            state.bytes += size
            return (nil, !isFull(state))
        }
        reader?.resume(returning: element)
        return hasRoom
    }

    private func isFull(_ state: State) -> Bool {
        !state.isUnbounded && (state.bytes >= maximumBytes || state.count >= maximumCount)
    }

    /// The next value; nil at the end, or when the task is cancelled.
    func next() async -> Element? {
        let id = state.withLockedValue { state in
            state.lastID &+= 1
            return state.lastID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Reader) in
                let (result, writers) = state.withLockedValue { state -> (Element??, [Writer]) in
                    if let element = state.take() {
                        guard !isFull(state) else { return (element, []) }
                        return (element, state.takeWriters())
                    }
                    // Looked at under the lock: a cancellation after it finds the reader in the list.
                    guard !state.isFinished, !Task.isCancelled else { return (.some(nil), []) }
                    state.readers.append((id, continuation))
                    return (nil, [])
                }
                if let result { continuation.resume(returning: result) }
                for writer in writers { writer.resume() }
            }
        } onCancel: {
            let reader = state.withLockedValue { state in
                state.readers.firstIndex { $0.id == id }.map { state.readers.remove(at: $0).continuation }
            }
            reader?.resume(returning: nil)
        }
    }

    /// Waits until there is room, or until there is no bound any more.
    func waitForRoom() async {
        await withCheckedContinuation { (continuation: Writer) in
            let hasRoom = state.withLockedValue { state in
                guard isFull(state), !state.isFinished else { return true }
                state.writers.append(continuation)
                return false
            }
            if hasRoom { continuation.resume() }
        }
    }

    /// Lets those who wait for room go on without it.
    func letWritersGo() {
        let writers = state.withLockedValue { $0.takeWriters() }
        for writer in writers { writer.resume() }
    }

    /// Lifts the bound, for what comes at the end: whoever waits for room goes on.
    func liftBound() {
        let writers = state.withLockedValue { state in
            state.isUnbounded = true
            return state.takeWriters()
        }
        for writer in writers { writer.resume() }
    }

    /// Ends it; what is in it can still be taken.
    func finish() {
        let (readers, writers) = state.withLockedValue { state in
            state.isFinished = true
            defer { state.readers = [] }
            return (state.readers, state.takeWriters())
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
        for writer in writers { writer.resume() }
    }
}

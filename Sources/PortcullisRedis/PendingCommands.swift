/// The commands of a link that have not been answered, each with what its answer is for. Redis answers in order.
///
/// Open to the optimiser of who uses it: without the type of the contexts each of them is copied by its description.
public struct PendingCommands<Context> {
    @usableFromInline var contexts: [Context?] = []
    @usableFromInline var first = 0
    /// Commands that are encoded but not yet sent: all of a loop turn go in one write.
    @usableFromInline var output: [UInt8] = []

    @inlinable
    public init() {}

    @inlinable
    public var count: Int {
        contexts.count - first
    }

    @inlinable
    public mutating func append(_ command: Command, _ context: Context) {
        command.encode(into: &output)
        contexts.append(context)
    }

    /// Two commands, the first of which prepares for the second.
    @inlinable
    public mutating func append(
        _ command: SessionReading,
        _ key: (before: [UInt8], id: [UInt8], after: [UInt8]),
        _ preparing: Context,
        _ context: Context
    ) {
        command.encode(key, into: &output)
        contexts.append(preparing)
        contexts.append(context)
    }

    /// What is to be written now.
    @inlinable
    public mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// The context of the next answer; nil where none is owed: what came answers no question.
    @inlinable
    public mutating func answered() -> Context? {
        guard first < contexts.count else { return nil }
        let context = contexts[first].take()
        first += 1
        if first == contexts.count {
            contexts.removeAll(keepingCapacity: first <= 1024)
            first = 0
        } else if first > 4096 {
            contexts.removeFirst(first)
            first = 0
        }
        return context
    }

    /// The link is lost: all that will never be answered.
    @inlinable
    public mutating func abandon() -> [Context] {
        defer {
            contexts = []
            first = 0
            output = []
        }
        return contexts[first...].compactMap { $0 }
    }
}

/// The commands of a link that have not been answered, each with what its answer is for. Redis answers in order.
public struct PendingCommands<Context> {
    private var contexts: [Context?] = []
    private var first = 0
    /// Commands that are encoded but not yet sent: all of a loop turn go in one write.
    private var output: [UInt8] = []

    public init() {}

    public var count: Int {
        contexts.count - first
    }

    public mutating func append(_ command: Command, _ context: Context) {
        command.encode(into: &output)
        contexts.append(context)
    }

    /// What is to be written now.
    public mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// The context of the next answer; nil where none is owed: what came answers no question.
    public mutating func answered() -> Context? {
        guard first < contexts.count else { return nil }
        let context = contexts[first]
        contexts[first] = nil
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
    public mutating func abandon() -> [Context] {
        defer {
            contexts = []
            first = 0
            output = []
        }
        return contexts[first...].compactMap { $0 }
    }
}

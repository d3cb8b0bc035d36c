/// How a session is read under tracking: `CLIENT CACHING YES`, and one command that brings the value and the time to live together, so that
/// both are of the same moment and the key is tracked.
///
/// Made once: what is the same for each session is kept as it goes out.
public struct SessionReading: Sendable {
    /// All but the key.
    private let start: [UInt8]

    /// - Parameter isHash: whether sessions are hashes; else they are strings.
    public init(isHash: Bool = false) {
        var start: [UInt8] = []
        Command("CLIENT", "CACHING", "YES").encode(into: &start)
        start.append(contentsOf: "*4\r\n".utf8)
        for word in ["EVAL", Scripts.readSession(isHash), "1"] { Command.append(Array(word.utf8), to: &start) }
        self.start = start
    }

    /// Appends both commands.
    /// - Parameter key: the parts that make it up.
    public func encode(_ key: (before: [UInt8], id: [UInt8], after: [UInt8]), into output: inout [UInt8]) {
        output.append(contentsOf: start)
        Command.append(UInt8(ascii: "$"), key.before.count + key.id.count + key.after.count, to: &output)
        output.append(contentsOf: key.before)
        output.append(contentsOf: key.id)
        output.append(contentsOf: key.after)
        Command.appendEnd(to: &output)
    }
}

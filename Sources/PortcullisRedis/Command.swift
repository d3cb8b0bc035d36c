import PortcullisWire

/// One command to Redis: its name and arguments, as bytes.
public struct Command: Equatable, Sendable {
    public let words: [[UInt8]]

    public init(_ words: [[UInt8]]) {
        self.words = words
    }

    /// Words that are text: `Command("XRANGE", log, "-", "+")`.
    public init(_ words: String...) {
        self.words = words.map { Array($0.utf8) }
    }

    /// Appends the command in RESP.
    public func encode(into output: inout [UInt8]) {
        Self.append(UInt8(ascii: "*"), words.count, to: &output)
        for word in words { Self.append(word, to: &output) }
    }

    /// Appends one word: its length and its bytes.
    static func append(_ word: [UInt8], to output: inout [UInt8]) {
        append(UInt8(ascii: "$"), word.count, to: &output)
        output.append(contentsOf: word)
        appendEnd(to: &output)
    }

    static func appendEnd(to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\r"))
        output.append(UInt8(ascii: "\n"))
    }

    /// Appends a count of words or bytes: a mark, the number, the end of the line.
    static func append(_ mark: UInt8, _ number: Int, to output: inout [UInt8]) {
        output.append(mark)
        output.append(decimal: number)
        appendEnd(to: &output)
    }
}

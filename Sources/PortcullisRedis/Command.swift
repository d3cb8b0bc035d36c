import CHiredis

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
        var flat: [CChar] = []
        var lengths: [Int] = []
        for word in words {
            flat.append(contentsOf: word.lazy.map { CChar(bitPattern: $0) })
            lengths.append(word.count)
        }
        // hiredis reads `lengths[i]` bytes at each pointer; all of them point into `flat`, which lives until the closure ends.
        flat.withUnsafeBufferPointer { flat in
            var offset = 0
            var pointers: [UnsafePointer<CChar>?] = lengths.map { length in
                defer { offset += length }
                return flat.baseAddress.map { $0 + offset } ?? Self.empty
            }
            var text: UnsafeMutablePointer<CChar>?
            let count = redisFormatCommandArgv(&text, Int32(pointers.count), &pointers, &lengths)
            guard count > 0, let text else { return }
            defer { free(text) }
            output.append(contentsOf: UnsafeRawBufferPointer(start: text, count: Int(count)))
        }
    }

    /// A pointer for words of no bytes where there is no other: never read.
    private static var empty: UnsafePointer<CChar>? {
        UnsafePointer(bitPattern: 1)
    }
}

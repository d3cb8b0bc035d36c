import Foundation

/// The lines of standard input, of any length and any bytes but LF, one at a time.
enum InputLines {
    static func read(_ body: ([UInt8]) throws -> Void) throws {
        let input = FileHandle.standardInput
        var rest: [UInt8] = []
        while let data = try input.read(upToCount: 1 << 16), !data.isEmpty {
            var start = data.startIndex
            while let end = data[start...].firstIndex(of: 0x0A) {
                rest.append(contentsOf: data[start..<end])
                try body(rest)
                rest.removeAll(keepingCapacity: rest.capacity <= 1 << 20)
                start = data.index(after: end)
            }
            rest.append(contentsOf: data[start...])
        }
        if !rest.isEmpty { try body(rest) }
    }
}

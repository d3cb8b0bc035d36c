/// Base64 for URLs without padding (RFC 4648, section 5; RFC 7515, section 2), read strictly: no other letters, no padding, no line
/// ends, and no bits set that stand for nothing. So each text stands for one value and each value has one text.
public enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The value of each byte; 0xFF where it is no letter.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    /// How many bytes a text of that length stands for, where it is one.
    public static func decodedCount(_ count: Int) -> Int {
        count / 4 * 3 + max(count % 4 - 1, 0)
    }

    /// Writes what a text stands for to the front of a buffer.
    /// - Returns: how many bytes were written; nil where the text is not base64url or the buffer is too small.
    public static func decode(_ text: Span<UInt8>, into buffer: inout [UInt8]) -> Int? {
        let count = decodedCount(text.count)
        guard text.count % 4 != 1, count <= buffer.count else { return nil }
        let values = values
        let whole = text.count / 4 * 4
        guard decodeGroups(text.extracting(first: whole), into: &buffer, values) else { return nil }
        let table = values.span
        var output = buffer.mutableSpan
        let (from, to) = (whole, whole / 4 * 3)
        if text.count % 4 == 2 {
            let (a, b) = (table[Int(text[from])], table[Int(text[from + 1])])
            guard a | b < 0x80, b & 0x0F == 0 else { return nil }
            output[to] = a << 2 | b >> 4
        } else if text.count % 4 == 3 {
            let (a, b, c) = (table[Int(text[from])], table[Int(text[from + 1])], table[Int(text[from + 2])])
            guard a | b | c < 0x80, c & 0x03 == 0 else { return nil }
            output[to] = a << 2 | b >> 4
            output[to + 1] = b << 4 | c >> 2
        }
        return count
    }

    /// Whole groups of four letters, which is nearly all of a token.
    private static func decodeGroups(_ text: Span<UInt8>, into buffer: inout [UInt8], _ values: [UInt8]) -> Bool {
        // Safe: `from` stays below the count of the text, a multiple of four; the caller has seen that three bytes for each four fit into the
        // buffer; a byte is an index into 256 values. No pointer leaves its closure. With a check for each of eleven places it takes
        // three times as long.
        text.withUnsafeBufferPointer { text in
            buffer.withUnsafeMutableBufferPointer { output in
                values.withUnsafeBufferPointer { table in
                    var (from, to) = (0, 0)
                    while from < text.count {
                        let (a, b) = (table[Int(text[from])], table[Int(text[from + 1])])
                        let (c, d) = (table[Int(text[from + 2])], table[Int(text[from + 3])])
                        // No value of a letter has the top bit.
                        guard a | b | c | d < 0x80 else { return false }
                        output[to] = a << 2 | b >> 4
                        output[to + 1] = b << 4 | c >> 2
                        output[to + 2] = c << 6 | d
                        from += 4
                        to += 3
                    }
                    return true
                }
            }
        }
    }

    /// What a text stands for; nil where it is not base64url.
    public static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: decodedCount(text.count))
        return decode(text, into: &bytes) == nil ? nil : bytes
    }

    /// The text of these bytes.
    public static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var (held, bits) = (UInt32(0), 0)
        for byte in bytes {
            held = (held << 8 | UInt32(byte)) & 0xFFFF
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(held >> UInt32(bits)) & 63])
            }
        }
        if bits > 0 { text.append(alphabet[Int(held << UInt32(6 - bits)) & 63]) }
        return text
    }
}

/// Looking at bytes where they stand. A range always belongs to the bytes it is used with: another one is a bug of the caller.
extension Span where Element == UInt8 {
    /// A copy of some of the bytes.
    public func copy(_ range: Range<Int>) -> [UInt8] {
        var copy: [UInt8] = []
        copy.append(range, of: self)
        return copy
    }

    /// A copy of all bytes.
    public func copy() -> [UInt8] {
        copy(0..<count)
    }

    /// Whether these are the very bytes of another.
    public func isSame(as other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        var at = 0
        while at + 8 <= count {
            guard word(at: at) == other.word(at: at) else { return false }
            at += 8
        }
        while at < count {
            guard self[at] == other[at] else { return false }
            at += 1
        }
        return true
    }

    /// Whether these bytes are exactly those letters.
    func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        return text.withUTF8Buffer { letters in
            letters.indices.allSatisfy { letters[$0] == self[range.lowerBound + $0] }
        }
    }

    func equals(_ range: Range<Int>, _ other: [UInt8]) -> Bool {
        range.count == other.count && other.indices.allSatisfy { other[$0] == self[range.lowerBound + $0] }
    }

    func equals(_ range: Range<Int>, _ other: Range<Int>) -> Bool {
        range.count == other.count && range.allSatisfy { self[$0] == self[$0 - range.lowerBound + other.lowerBound] }
    }

    /// As ``equals(_:_:)`` for a name that is written in any case; `text` is in lower case.
    func equalsIgnoringCase(_ range: Range<Int>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard range.count == count else { return false }
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        return text.withUTF8Buffer { letters in
            let letters = letters.span
            var at = 0
            while at + 8 <= count {
                let word = EightBytes(bits: word(at: range.lowerBound + at))
                guard word.lowercased == letters.word(at: at) else { return false }
                at += 8
            }
            while at < count {
                guard letters[at] == ByteSet.lowercased(self[range.lowerBound + at]) else { return false }
                at += 1
            }
            return true
        }
    }

    func equalsIgnoringCase(_ range: Range<Int>, _ other: [UInt8]) -> Bool {
        guard range.count == other.count else { return false }
        return other.indices.allSatisfy {
            ByteSet.lowercased(other[$0]) == ByteSet.lowercased(self[range.lowerBound + $0])
        }
    }

    /// Two places of the same bytes, in any case.
    func equalsIgnoringCase(_ range: Range<Int>, _ other: Range<Int>) -> Bool {
        range.count == other.count
            && range.allSatisfy {
                ByteSet.lowercased(self[$0]) == ByteSet.lowercased(self[$0 - range.lowerBound + other.lowerBound])
            }
    }

    func hasPrefix(_ range: Range<Int>, _ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        return range.count >= length && equals(range.lowerBound..<range.lowerBound + length, text)
    }

    /// The range without the spaces and tabs at its ends (OWS of RFC 9110, section 5.6.3).
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start] == 0x20 || self[start] == 0x09 { start += 1 }
        while end > start, self[end - 1] == 0x20 || self[end - 1] == 0x09 { end -= 1 }
        return start..<end
    }

    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        range.first { self[$0] == byte }
    }

    func allSatisfy(_ range: Range<Int>, _ set: ByteSet) -> Bool {
        range.allSatisfy { set.contains(self[$0]) }
    }

    /// Eight bytes as one number, the first in the lowest place.
    func word(at: Int) -> UInt64 {
        // `unsafe` because it could be asked for a type that not all bytes are values of; all are one of an integer. Its bounds
        // are checked.
        UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// Four bytes as one number, the first in the lowest place.
    func four(at: Int) -> UInt32 {
        // As above.
        UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    /// The first byte at or behind `start` that is a control character (C0 or DEL), or the end. Words without one are passed over
    /// whole: most of a handshake is one long token.
    public func endOfText(from start: Int) -> Int {
        var at = start
        while at + 8 <= count {
            let word = EightBytes(bits: word(at: at))
            let controls = word.within(0...0x1F) | word.equal(0x7F)
            if controls != 0 { return at + EightBytes.first(controls) }
            at += 8
        }
        while at < count, self[at] >= 0x20, self[at] != 0x7F { at += 1 }
        return at
    }

    /// The first byte at or behind `start` that a string of JSON does not hold as it is: a quote, a backslash, a control character (C0), or
    /// one that is not ASCII; or the end.
    func endOfPlainText(from start: Int) -> Int {
        var at = start
        while at + 8 <= count {
            let word = EightBytes(bits: word(at: at))
            let others =
                word.foreign | word.within(0...0x1F) | word.equal(UInt8(ascii: "\"")) | word.equal(UInt8(ascii: "\\"))
            if others != 0 { return at + EightBytes.first(others) }
            at += 8
        }
        while at < count {
            switch self[at] {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20, 0x80...: return at
            default: at += 1
            }
        }
        return at
    }

    /// The first byte at or behind `start` that is escaped in a string of JSON: a quote, a backslash, a control character (C0 or DEL); or the
    /// end.
    func endOfUnescapedText(from start: Int) -> Int {
        var at = start
        while at + 8 <= count {
            let word = EightBytes(bits: word(at: at))
            let others =
                word.within(0...0x1F) | word.equal(0x7F) | word.equal(UInt8(ascii: "\""))
                | word.equal(UInt8(ascii: "\\"))
            if others != 0 { return at + EightBytes.first(others) }
            at += 8
        }
        while at < count {
            switch self[at] {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20, 0x7F: return at
            default: at += 1
            }
        }
        return at
    }

    /// Whether all are letters of `b64token` (RFC 6750, section 2.1), its padding aside.
    func areBearerLetters() -> Bool {
        var at = 0
        while at + 8 <= count {
            guard EightBytes(bits: word(at: at)).areBearerLetters else { return false }
            at += 8
        }
        return allSatisfy(at..<count, .bearer)
    }
}

extension [UInt8] {
    mutating func append(_ text: StaticString) {
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        text.withUTF8Buffer { append(contentsOf: $0) }
    }

    /// Appends some of another's bytes, as one copy.
    public mutating func append(_ range: Range<Int>, of bytes: Span<UInt8>) {
        // The pointer does not leave the closure, and the two never overlap: a span forbids changes of what it looks at.
        bytes.extracting(range).withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    public mutating func append(decimal number: some FixedWidthInteger) {
        append(contentsOf: String(number).utf8)
    }
}

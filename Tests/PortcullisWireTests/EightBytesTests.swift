import Testing

@testable import PortcullisWire

/// What is asked of eight bytes at once is so of each of them, whatever the others are.
@Suite struct EightBytesTests {
    /// Every byte in every place, among neighbours that would carry if anything did.
    private func forEach(_ body: (_ byte: UInt8, _ place: Int, _ word: EightBytes) -> Void) {
        for byte in UInt8.min...UInt8.max {
            for neighbour in [0, 0x1F, 0x7F, 0x80, 0xFF] as [UInt64] {
                for place in 0..<8 {
                    let others = neighbour &* 0x0101_0101_0101_0101 & ~(0xFF << UInt64(place * 8))
                    body(byte, place, EightBytes(bits: others | UInt64(byte) << UInt64(place * 8)))
                }
            }
        }
    }

    private func tells(_ answer: UInt64, _ place: Int) -> Bool {
        answer >> UInt64(place * 8 + 7) & 1 == 1
    }

    @Test func ranges() {
        let ranges: [ClosedRange<UInt8>] = [0...0x1F, 0x41...0x5A, 0x61...0x7A, 0x2D...0x39, 0x7F...0x7F, 0...0x7F]
        var wrong = 0
        forEach { byte, place, word in
            for range in ranges where tells(word.within(range), place) != range.contains(byte) { wrong += 1 }
            if tells(word.equal(0x22), place) != (byte == 0x22) { wrong += 1 }
            if tells(word.foreign, place) != (byte >= 0x80) { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func lowercase() {
        var wrong = 0
        forEach { byte, place, word in
            let lower = UInt8(truncatingIfNeeded: word.lowercased >> UInt64(place * 8))
            if lower != ByteSet.lowercased(byte) { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func bearerLetters() {
        for byte in UInt8.min...UInt8.max {
            for place in 0..<20 {
                var text = Array("eyJhbGciOiJIUzI1NiIs".utf8)
                text[place] = byte
                let isLetter = ByteSet.bearer.contains(byte)
                #expect(text.span.areBearerLetters() == isLetter)
            }
        }
    }

    /// The byte that ends a run of plain ones is found wherever it stands, and nothing before it.
    @Test(arguments: 0..<20) func endOfRuns(_ place: Int) {
        for byte in UInt8.min...UInt8.max {
            var text = Array(repeating: UInt8(ascii: "a"), count: 20)
            text[place] = byte
            let isText = byte >= 0x20 && byte != 0x7F
            let isPlain = byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            #expect(text.span.endOfText(from: 0) == (isText ? 20 : place))
            #expect(text.span.endOfPlainText(from: 0) == (isPlain ? 20 : place))
        }
    }

    @Test func sameness() {
        let text = Array("0123456789abcdef0123".utf8)
        for count in 0...text.count {
            let start = text.span.extracting(first: count)
            #expect(start.copy().span.isSame(as: start) == true)
            for place in 0..<count {
                var other = start.copy()
                other[place] ^= 0x80
                #expect(other.span.isSame(as: start) == false)
            }
        }
        #expect(text.span.isSame(as: text.span.extracting(first: 19)) == false)
    }

    @Test func hexadecimal() {
        for count in 0...9 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 61 &+ 7) }
            let text = String(decoding: Hexadecimal.encode(bytes), as: UTF8.self)
            #expect(text == bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
        }
        let all = Array(UInt8.min...UInt8.max)
        #expect(Hexadecimal.encode(all) == all.flatMap { Hexadecimal.encode([$0]) })
    }
}

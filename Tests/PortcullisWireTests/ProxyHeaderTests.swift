import PortcullisCore
import PortcullisWire
import TestKit
import Testing

@Suite struct ProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    static func header(_ command: UInt8, _ family: UInt8, _ behind: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(behind.count >> 8), UInt8(behind.count & 0xFF)] + behind
    }

    static let v4: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x00, 0x50]
    static let v6: [UInt8] = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [9]
    static let both6 = v6 + [UInt8](repeating: 1, count: 16) + [0x12, 0x34, 0, 80]
    static let values: [UInt8] = [0x04, 0, 3, 1, 2, 3, 0xEA, 0, 1, 9]

    static let whole: [([UInt8], ProxyHeader)] = [
        (header(0x21, 0x11, v4), .proxied(IPAddress(v4: 0xC000_0207))),
        (header(0x21, 0x11, v4 + values), .proxied(IPAddress(v4: 0xC000_0207))),
        (header(0x21, 0x21, both6), .proxied(IPAddress(high: 0x2001_0DB8_0000_0000, low: 9))),
        (header(0x21, 0x21, both6 + values), .proxied(IPAddress(high: 0x2001_0DB8_0000_0000, low: 9))),
        (header(0x21, 0x31, [UInt8](repeating: 0, count: 216)), .local),
        (header(0x21, 0x00, []), .local),
        (header(0x21, 0x00, values), .local),
        (header(0x20, 0x00, []), .local),
        // Of a health check the family and all behind it mean nothing.
        (header(0x20, 0x11, v4), .local),
        (header(0x20, 0x77, [1]), .local),
        (header(0x20, 0x00, [UInt8](repeating: 0, count: 4096)), .local),
    ]

    private func parse(_ bytes: some Collection<UInt8>) -> ProxyHeader {
        let bytes = Array(bytes)
        return ProxyHeader.parse(bytes.span)
    }

    @Test(arguments: whole)
    func headersOfAllKinds(_ bytes: [UInt8], _ expected: ProxyHeader) {
        #expect(parse(bytes) == expected)
    }

    /// However it is cut, exactly its own bytes are asked for.
    @Test(arguments: whole)
    func anySplitReadsToTheEndAndNotFurther(_ bytes: [UInt8], _ expected: ProxyHeader) {
        var at = 0
        while at < bytes.count {
            guard case .incomplete(let more) = parse(bytes[..<at]) else {
                Issue.record("\(at) bytes are not whole")
                return
            }
            #expect(more > 0 && at + more <= bytes.count)
            at += 1
        }
        // As the gate reads: what it is told is to come, at once.
        var taken = 0
        var steps = 0
        while case .incomplete(let more) = parse(bytes[..<taken]) {
            taken += more
            steps += 1
        }
        #expect(taken == bytes.count && steps <= 2)
        #expect(parse(bytes) == expected)
    }

    /// Reads as the gate does: what is asked for, in pieces as they come.
    private func read(_ bytes: [UInt8], _ piece: (Int) -> Int) -> (verdict: ProxyHeader, taken: Int) {
        var (taken, asked) = (0, ProxyHeader.fixedLength)
        while taken < bytes.count {
            taken = min(bytes.count, taken + piece(asked))
            guard case .incomplete(let more) = parse(bytes[..<taken]) else { break }
            asked = more
        }
        return (parse(bytes[..<taken]), taken)
    }

    /// Good headers and broken ones, with TLS behind them: any cut gives the same verdict, and takes no byte that is not the header's.
    @Test func noCutChangesTheVerdict() {
        var random = SeededGenerator(seed: 9)
        var (taken, refused) = (0, 0)
        for _ in 0..<3000 {
            let header = Self.whole[Int.random(in: 0..<Self.whole.count, using: &random)].0
            var bytes = header + [0x16, 3, 1, 2, 0]
            if Bool.random(using: &random) {
                bytes[Int.random(in: 0..<min(header.count, 40), using: &random)] = .random(
                    in: .min ... .max,
                    using: &random
                )
            }
            let whole = read(bytes) { $0 }
            let cut = read(bytes) { Int.random(in: 1...$0, using: &random) }
            let single = read(bytes) { _ in 1 }
            switch whole.verdict {
            case .refused: refused += 1
            default:
                taken += 1
                #expect(cut.taken == whole.taken && single.taken == whole.taken)
            }
            if cut.verdict != whole.verdict || single.verdict != whole.verdict { Issue.record("\(bytes.prefix(60))") }
        }
        #expect(taken > 1000 && refused > 500)
    }

    @Test func whatIsNoHeader() {
        let bad: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\n".utf8), Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n".utf8), [0x16, 3, 1],
            Self.header(0x11, 0x11, Self.v4), Self.header(0x22, 0x11, Self.v4), Self.header(0x21, 0x12, Self.v4),
            Self.header(0x21, 0x10, Self.v4), Self.header(0x21, 0x41, Self.v4), Self.header(0x21, 0x11, [1, 2, 3]),
            Self.header(0x21, 0x21, Self.v4), Self.header(0x21, 0x31, Self.both6),
            Self.header(0x20, 0, [UInt8](repeating: 0, count: 4097)), Self.header(0x20, 0, []) + [1],
        ]
        for bytes in bad {
            guard case .refused = parse(bytes) else {
                Issue.record("not refused: \(bytes.prefix(20))")
                continue
            }
        }
    }

    /// As early as can be, and for good.
    @Test func aWrongByteIsRefusedAtOnce() {
        let bytes = Self.header(0x21, 0x11, Self.v4)
        for at in 0..<14 {
            var broken = bytes
            broken[at] ^= 0x80
            guard case .refused = parse(broken[...at]) else {
                Issue.record("byte \(at)")
                continue
            }
        }
    }

    @Test func anyBytesAreTakenWithoutATrap() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<20_000 {
            var bytes = Self.whole[Int.random(in: 0..<Self.whole.count, using: &random)].0
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: .min ... .max, using: &random)
            _ = parse(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
        }
    }
}

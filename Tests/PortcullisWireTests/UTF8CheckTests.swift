import PortcullisWire
import TestKit
import Testing

@Suite struct UTF8CheckTests {
    /// nil where it is refused, else whether it is complete.
    func check(_ chunks: [[UInt8]]) -> Bool? {
        var check = UTF8Check()
        for chunk in chunks where !check.accept(chunk.span) { return nil }
        return check.isComplete
    }

    @Test(
        arguments: [
            ([], true), ([0x00], true), ([0x7F], true), ([0x80], nil), ([0xBF], nil), ([0xC0], nil),
            ([0xC1, 0xBF], nil), ([0xC2], false),
            ([0xC2, 0x80], true), ([0xC2, 0x7F], nil), ([0xC2, 0xC0], nil), ([0xDF, 0xBF], true), ([0xE0, 0x9F], nil),
            ([0xE0, 0xA0], false),
            ([0xE0, 0xA0, 0x80], true), ([0xE1, 0x80, 0xC0], nil), ([0xED, 0x9F, 0xBF], true), ([0xED, 0xA0], nil),
            ([0xEE, 0x80, 0x80], true),
            ([0xEF, 0xBF, 0xBF], true), ([0xF0, 0x8F], nil), ([0xF0, 0x90, 0x80], false),
            ([0xF0, 0x90, 0x80, 0x80], true),
            ([0xF4, 0x8F, 0xBF, 0xBF], true), ([0xF4, 0x90], nil), ([0xF5], nil), ([0xFE], nil), ([0xFF], nil),
            ([0xF0, 0x9F, 0x98, 0x80, 0x41], true), ([0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xED, 0xA0, 0x80], nil),
        ] as [([UInt8], Bool?)]
    )
    func aSequence(_ bytes: [UInt8], _ expected: Bool?) {
        let ascii = [UInt8](repeating: 0x41, count: 9)
        #expect(check([bytes]) == expected)
        #expect(check(bytes.map { [$0] }) == expected)
        #expect(check([ascii + bytes]) == expected)
        if expected == true { #expect(check([ascii + bytes + ascii]) == true) }
        if expected == false { #expect(check([bytes + ascii]) == nil) }
    }

    @Test func itAgreesWithTheStandardLibrary() {
        var generator = SeededGenerator(seed: 5)
        let alphabet: [UInt8] = [
            0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5,
        ]
        for _ in 0..<50_000 {
            var bytes = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            bytes.insert(contentsOf: [UInt8](repeating: 0x61, count: Int.random(in: 0...12, using: &generator)), at: 0)
            let valid = String(validating: bytes, as: UTF8.self) != nil
            #expect((check([bytes]) == true) == valid)
            #expect(check(cut(bytes, using: &generator)) == check([bytes]))
        }
    }

    @Test func everyScalarIsTaken() {
        for scalar in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(scalar) else { continue }
            if check([Array(String(scalar).utf8)]) != true { Issue.record("\(scalar.value)") }
        }
    }
}

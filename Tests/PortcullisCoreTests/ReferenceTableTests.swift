import TestKit
import Testing

@testable import PortcullisCore

@Suite struct ReferenceTableTests {
    /// Against a dictionary; the fewer different hashes there are, the longer are the runs.
    @Test(arguments: [1, 2, 3, 40, 65_536, Int.max]) func agreesWithADictionary(_ hashes: Int) {
        var generator = SeededGenerator(seed: UInt64(hashes))
        var table = ReferenceTable()
        var held: [UInt32: Int] = [:]
        for number in 0..<UInt32(hashes < 40 ? 400 : 3000) {
            // Of few hashes all lie in one segment, at its end: what is behind it wraps around.
            let hash =
                hashes == .max
                ? Int.random(in: .min ... .max, using: &generator)
                : -1 - Int.random(in: 0..<hashes, using: &generator) << 8
            table.insert(number, hash)
            held[number] = hash
            if number % 3 == 0, let (gone, hash) = held.first {
                table.remove(gone, hash)
                held[gone] = nil
                table.remove(gone, hash)
            } else if number % 3 == 1, let (old, hash) = held.first {
                table.replace(old, by: 1 << 31 | number, hash)
                held[old] = nil
                held[1 << 31 | number] = hash
            }
        }
        for (number, hash) in held {
            #expect(table.first(hash) { $0 == number } == number)
        }
        #expect(table.first(1 << 20) { $0 == 5 } == (held[5] == 1 << 20 ? 5 : nil))
        var last: (UInt32, Int)?
        for (number, hash) in held {
            table.remove(number, hash)
            last = (number, hash)
        }
        if let (number, hash) = last { #expect(table.first(hash) { $0 == number } == nil) }
    }

    @Test func roomIsUsedAtEverySize() {
        var generator = SeededGenerator(seed: 3)
        var table = ReferenceTable()
        for number in 0..<UInt32(100_000) {
            table.insert(number, Int.random(in: .min ... .max, using: &generator))
            // Six bytes a place, of which at least six tenths are taken.
            if number > 40_000, number % 10_000 == 0 { #expect(table.byteCount < Int(number) * 10) }
        }
    }
}

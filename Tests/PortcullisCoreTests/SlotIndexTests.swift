import TestKit
import Testing

@testable import PortcullisCore

@Suite struct SlotIndexTests {
    /// Against a dictionary of lists. The hashes are squeezed to a handful, so that keys collide and probe past one another.
    @Test(arguments: [(1, 1), (2, 3), (3, 64), (4, .max)] as [(UInt64, Int)]) func agreesWithADictionary(
        _ seed: UInt64,
        _ hashes: Int
    ) {
        var generator = SeededGenerator(seed: seed)
        var index = SlotIndex()
        var keys: [UInt32: Int] = [:]
        var model: [Int: [UInt32]] = [:]
        func hash(_ key: Int) -> Int {
            (key &* 0x9E37_79B9) % hashes
        }
        func found(_ key: Int) -> [UInt32] {
            var list: [UInt32] = []
            var next = index.first(hash(key)) { keys[$0] == key }
            while let slot = next {
                list.append(slot)
                next = index.next(slot)
            }
            return list
        }
        for step in 0..<6000 {
            // It grows for two thirds of the way, then shrinks to nothing.
            let slot = UInt32.random(in: 0..<900, using: &generator)
            if let key = keys[slot], step > 4000 || Int.random(in: 0..<3, using: &generator) == 0 {
                index.remove(slot)
                keys[slot] = nil
                model[key]?.removeAll { $0 == slot }
                #expect(found(key) == model[key])
            } else if keys[slot] == nil, step <= 4000 {
                let key = Int.random(in: 0..<200, using: &generator)
                index.insert(slot, hash: hash(key)) { keys[$0] == key }
                keys[slot] = key
                model[key, default: []].insert(slot, at: 0)
                #expect(found(key) == model[key])
            }
            if step % 500 == 0 {
                for key in 0..<200 { #expect(found(key) == model[key] ?? []) }
            }
        }
        for slot in keys.keys.sorted() { index.remove(slot) }
        for key in 0..<200 { #expect(index.first(hash(key)) { _ in true } == nil) }
    }

    /// A storm of keys comes and goes: the table grows and shrinks, and what stayed is found.
    @Test func shrinksWithoutLosing() {
        var index = SlotIndex()
        for slot in UInt32(0)..<5000 { index.insert(slot, hash: Int(slot)) { _ in false } }
        for slot in UInt32(0)..<5000 where slot % 100 != 7 { index.remove(slot) }
        for slot in UInt32(0)..<5000 {
            #expect(index.first(Int(slot)) { $0 == slot } == (slot % 100 == 7 ? slot : nil))
        }
    }

    /// Only the low 32 bits of a hash are kept: two keys that share them stay apart.
    @Test func equalShortHashes() {
        var index = SlotIndex()
        index.insert(1, hash: 5) { _ in false }
        index.insert(2, hash: 5 + 1 << 32) { _ in false }
        #expect(index.first(5) { $0 == 1 } == 1)
        #expect(index.first(5) { $0 == 2 } == 2)
        #expect(index.next(1) == nil)
        #expect(index.next(2) == nil)
        index.remove(1)
        #expect(index.first(5) { $0 == 1 } == nil)
        #expect(index.first(5) { $0 == 2 } == 2)
    }
}

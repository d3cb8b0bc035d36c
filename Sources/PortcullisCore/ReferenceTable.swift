/// A hash table of numbers that stand for something elsewhere: open addressing, linear probing, no tombstones. Whoever asks brings the hash
/// and knows whether a number is the one that is meant.
///
/// It is made of segments that grow each by itself and by a quarter: at a million numbers no insertion moves more than some thousand, and
/// four fifths to two thirds of the room is used at any size. Beside each number stand 16 bits of its hash: they say where it belongs when
/// its segment grows, and nearly always whether it can be the one that is asked for, without a look at what it stands for.
struct ReferenceTable: Sendable {
    private var segments = [Segment](repeating: Segment(), count: segmentCount)

    private static let segmentCount = 256

    var byteCount: Int {
        segments.reduce(0) { $0 + $1.byteCount }
    }

    func first(_ hash: Int, where matches: (UInt32) -> Bool) -> UInt32? {
        segments[Self.segment(hash)].first(Self.mark(hash), where: matches)
    }

    mutating func insert(_ reference: UInt32, _ hash: Int) {
        segments[Self.segment(hash)].insert(reference, Self.mark(hash))
    }

    /// Puts another number in the place of one with the same hash.
    mutating func replace(_ reference: UInt32, by other: UInt32, _ hash: Int) {
        segments[Self.segment(hash)].replace(reference, by: other, Self.mark(hash))
    }

    mutating func remove(_ reference: UInt32, _ hash: Int) {
        segments[Self.segment(hash)].remove(reference, Self.mark(hash))
    }

    private static func segment(_ hash: Int) -> Int {
        hash & (segmentCount - 1)
    }

    /// Other bits than those that choose the segment. 0 is what a free place has.
    private static func mark(_ hash: Int) -> UInt16 {
        max(1, UInt16(truncatingIfNeeded: hash >> 8))
    }
}

extension ReferenceTable {
    private struct Segment: Sendable {
        /// Of the hash of what stands in each place; 0: nothing does.
        private var marks: [UInt16] = []
        private var references: [UInt32] = []
        private var used = 0

        var byteCount: Int {
            marks.capacity * 2 + references.capacity * 4
        }

        func first(_ mark: UInt16, where matches: (UInt32) -> Bool) -> UInt32? {
            guard !marks.isEmpty else { return nil }
            var at = home(mark)
            while marks[at] != 0 {
                if marks[at] == mark, matches(references[at]) { return references[at] }
                at = behind(at)
            }
            return nil
        }

        mutating func insert(_ reference: UInt32, _ mark: UInt16) {
            if (used + 1) * 5 > marks.count * 4 { grow() }
            place(reference, mark)
            used += 1
        }

        mutating func replace(_ reference: UInt32, by other: UInt32, _ mark: UInt16) {
            guard let at = index(of: reference, mark) else { return }
            references[at] = other
        }

        mutating func remove(_ reference: UInt32, _ mark: UInt16) {
            guard var hole = index(of: reference, mark) else { return }
            used -= 1
            // What stands behind moves up, where its own place is not between the hole and it.
            var at = hole
            while true {
                marks[hole] = 0
                var home: Int
                repeat {
                    at = behind(at)
                    guard marks[at] != 0 else { return }
                    home = self.home(marks[at])
                } while hole <= at ? hole < home && home <= at : hole < home || home <= at
                marks[hole] = marks[at]
                references[hole] = references[at]
                hole = at
            }
        }

        /// Where a number belongs: the marks are spread over the whole of the segment, in their order.
        private func home(_ mark: UInt16) -> Int {
            (Int(mark) * marks.count) >> 16
        }

        private func behind(_ at: Int) -> Int {
            at + 1 == marks.count ? 0 : at + 1
        }

        private func index(of reference: UInt32, _ mark: UInt16) -> Int? {
            guard !marks.isEmpty else { return nil }
            var at = home(mark)
            while marks[at] != 0 {
                if references[at] == reference { return at }
                at = behind(at)
            }
            return nil
        }

        private mutating func place(_ reference: UInt32, _ mark: UInt16) {
            var at = home(mark)
            while marks[at] != 0 { at = behind(at) }
            marks[at] = mark
            references[at] = reference
        }

        private mutating func grow() {
            let (oldMarks, oldReferences) = (marks, references)
            let count = oldMarks.count + max(8, oldMarks.count / 4)
            marks = [UInt16](repeating: 0, count: count)
            references = [UInt32](repeating: 0, count: count)
            for at in oldMarks.indices where oldMarks[at] != 0 { place(oldReferences[at], oldMarks[at]) }
        }
    }
}

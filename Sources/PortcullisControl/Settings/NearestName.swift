/// Finds what a person who mistyped a name probably meant.
enum NearestName {
    /// The candidate with the fewest edits from `name`, as a whole or by its last part; nil where none is near.
    static func to(_ name: String, among candidates: [String], separator: Character = ".") -> String? {
        let last = name.split(separator: separator).last.map(String.init) ?? name
        var best: (name: String, edits: Int)?
        for candidate in candidates {
            let candidateLast = candidate.split(separator: separator).last.map(String.init) ?? candidate
            // A key in the wrong group costs one edit, so that the same group wins where both are as near.
            let edits = min(distance(name, candidate), distance(last, candidateLast) + 1)
            if edits < best?.edits ?? .max { best = (candidate, edits) }
        }
        guard let best, best.edits <= max(2, last.count / 2 + 1) else { return nil }
        return best.name
    }

    /// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other (optimal string
    /// alignment).
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.prefix(100))
        let right = Array(right.prefix(100))
        guard !left.isEmpty else { return right.count }
        guard !right.isEmpty else { return left.count }
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        for i in 1...left.count {
            var row = [Int](repeating: i, count: right.count + 1)
            for j in 1...right.count {
                let replaced = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1)
                row[j] = min(last[j] + 1, row[j - 1] + 1, replaced)
                if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            (beforeLast, last) = (last, row)
        }
        return last[right.count]
    }
}

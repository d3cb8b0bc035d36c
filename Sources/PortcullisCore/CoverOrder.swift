/// Decisions of one kind against one id, those first that cover most: whether any of a hundred thousand covers a credential is known from
/// the first that has not ended.
///
/// Runs of at most ``runLength``, each with the latest end in it: to enter one, to take one out and to find the first look at one run and,
/// at worst, at the head of each.
struct CoverOrder: Sendable {
    struct Key: Hashable, Comparable, Sendable {
        /// Up to when credentials are covered; the greatest: all.
        var covers: WallTime
        /// The greatest: never.
        var expires: WallTime
        /// What it stands for, and what tells equal ones apart.
        var reference: UInt32

        /// Before those that cover less, or as much for a shorter time.
        static func < (left: Self, right: Self) -> Bool {
            (right.covers, right.expires, right.reference) < (left.covers, left.expires, left.reference)
        }
    }

    private struct Run {
        /// Never empty.
        var keys: [Key]
        var lastEnds: WallTime

        init(_ keys: [Key]) {
            self.keys = keys
            lastEnds = Self.lastEnd(of: keys)
        }

        static func lastEnd(of keys: [Key]) -> WallTime {
            keys.reduce(WallTime(milliseconds: .min)) { max($0, $1.expires) }
        }
    }

    static let runLength = 512
    static let never = WallTime(milliseconds: .max)

    private var runs: [Run] = []
    private(set) var count = 0

    mutating func insert(_ key: Key) {
        count += 1
        guard !runs.isEmpty else {
            runs.append(Run([key]))
            return
        }
        let run = self.run(of: key)
        runs[run].keys.insert(key, at: Self.place(of: key, in: runs[run].keys))
        runs[run].lastEnds = max(runs[run].lastEnds, key.expires)
        if runs[run].keys.count > Self.runLength { split(run) }
    }

    private mutating func split(_ run: Int) {
        let keys = runs[run].keys
        runs[run] = Run(Array(keys[..<(keys.count / 2)]))
        runs.insert(Run(Array(keys[(keys.count / 2)...])), at: run + 1)
    }

    mutating func remove(_ key: Key) {
        guard !runs.isEmpty else { return }
        let run = self.run(of: key)
        let place = Self.place(of: key, in: runs[run].keys)
        guard place < runs[run].keys.count, runs[run].keys[place] == key else { return }
        count -= 1
        runs[run].keys.remove(at: place)
        if runs[run].keys.isEmpty {
            runs.remove(at: run)
        } else if key.expires == runs[run].lastEnds {
            runs[run].lastEnds = Run.lastEnd(of: runs[run].keys)
        }
    }

    /// The one that covers most of those that have not ended.
    func first(after now: WallTime) -> Key? {
        var looks = 0
        return first(after: now, looks: &looks)
    }

    /// - Parameter looks: grows by the number of runs and keys that were looked at.
    func first(after now: WallTime, looks: inout Int) -> Key? {
        for run in runs {
            looks += 1
            guard run.lastEnds > now else { continue }
            for key in run.keys {
                looks += 1
                if key.expires > now { return key }
            }
        }
        return nil
    }

    var any: UInt32? { runs.first?.keys.first?.reference }

    /// The lengths of the runs.
    var lengths: [Int] { runs.map(\.keys.count) }

    var references: [UInt32] {
        runs.flatMap { $0.keys.map(\.reference) }
    }

    /// The last run that begins before the key or with it, else the first.
    private func run(of key: Key) -> Int {
        var (low, high) = (0, runs.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if key < runs[middle].keys[0] { high = middle } else { low = middle }
        }
        return low
    }

    /// Where it stands, or would.
    private static func place(of key: Key, in keys: [Key]) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

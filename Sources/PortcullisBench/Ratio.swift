import Glibc

/// How much more a gate takes than the floor, over rounds that were measured in turn.
struct Ratio: Codable {
    let mean: Double
    /// The interval that covers the mean with 95 %; nil where there is one value only.
    let low: Double?
    let high: Double?

    init(_ value: Double) {
        (mean, low, high) = (value, nil, nil)
    }

    /// Of pairs that stand beside each other in time: what disturbed one of a pair mostly disturbed the other too. On logarithms,
    /// because a ratio and its inverse must come out alike; the interval is Student's.
    init(_ pairs: [(gate: Double, floor: Double)]) {
        let logarithms = pairs.filter { $0.gate > 0 && $0.floor > 0 }.map { log($0.gate / $0.floor) }
        let count = Double(logarithms.count)
        guard count > 0 else {
            (mean, low, high) = (0, nil, nil)
            return
        }
        let middle = logarithms.reduce(0, +) / count
        // How far one value may be off nobody can tell.
        guard count > 1 else {
            (mean, low, high) = (exp(middle), nil, nil)
            return
        }
        let squares = logarithms.reduce(0) { $0 + ($1 - middle) * ($1 - middle) }
        let error = sqrt(squares / (count - 1) / count)
        let half = error * Self.quantile(logarithms.count - 1)
        (mean, low, high) = (exp(middle), exp(middle - half), exp(middle + half))
    }

    /// Student's t for 97.5 %.
    private static func quantile(_ freedom: Int) -> Double {
        let table = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145]
        guard freedom > 0 else { return 0 }
        return freedom <= table.count ? table[freedom - 1] : 2.0
    }
}

extension [Double] {
    var median: Double {
        guard !isEmpty else { return 0 }
        let order = sorted()
        return count % 2 == 1 ? order[count / 2] : (order[count / 2 - 1] + order[count / 2]) / 2
    }
}

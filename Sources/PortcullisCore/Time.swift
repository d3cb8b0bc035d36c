/// A moment on CLOCK_BOOTTIME, in nanoseconds. Leases and deadlines are measured on it: no step of the wall clock moves it, and it
/// goes on while the machine sleeps.
///
/// It is another type than ``WallTime``, so that the two can never be mixed.
public struct BootTime: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    public static func < (left: BootTime, right: BootTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    public static func + (time: BootTime, milliseconds: Milliseconds) -> BootTime {
        BootTime(nanoseconds: time.nanoseconds.addingClamped(milliseconds.count.multipliedClamped(by: 1_000_000)))
    }

    /// The time from `earlier` to this moment, rounded down to milliseconds; negative where `earlier` is later.
    public func since(_ earlier: BootTime) -> Milliseconds {
        Milliseconds(nanoseconds.subtractingClamped(earlier.nanoseconds) / 1_000_000)
    }
}

/// A moment of civil time, in milliseconds since the Unix epoch: what claims and events speak of.
public struct WallTime: Hashable, Comparable, Sendable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    public static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
    }

    public static func + (time: WallTime, milliseconds: Milliseconds) -> WallTime {
        WallTime(milliseconds: time.milliseconds.addingClamped(milliseconds.count))
    }

    /// The time from `earlier` to this moment; negative where `earlier` is later.
    public func since(_ earlier: WallTime) -> Milliseconds {
        Milliseconds(milliseconds.subtractingClamped(earlier.milliseconds))
    }
}

/// A span of time in milliseconds.
public struct Milliseconds: Hashable, Comparable, Sendable {
    public var count: Int64

    public init(_ count: Int64) {
        self.count = count
    }

    public static func seconds(_ count: Int64) -> Milliseconds {
        Milliseconds(count.multipliedClamped(by: 1000))
    }

    public static func < (left: Milliseconds, right: Milliseconds) -> Bool {
        left.count < right.count
    }
}

extension FixedWidthInteger {
    /// The sum, or the bound that it would have passed. Times come from files, tokens and Redis: none may overflow.
    public func addingClamped(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        guard overflow else { return sum }
        return other < 0 ? .min : .max
    }

    /// The difference, or the bound that it would have passed.
    public func subtractingClamped(_ other: Self) -> Self {
        let (difference, overflow) = subtractingReportingOverflow(other)
        guard overflow else { return difference }
        return other < 0 ? .max : .min
    }

    /// The product, or the bound that it would have passed.
    public func multipliedClamped(by other: Self) -> Self {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        guard overflow else { return product }
        return (self < 0) == (other < 0) ? .max : .min
    }
}

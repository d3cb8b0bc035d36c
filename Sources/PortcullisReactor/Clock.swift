import Glibc

/// The clocks, read where shells need them; machines get their time passed in.
public enum Clock {
    /// CLOCK_BOOTTIME in nanoseconds: never steps, goes on in sleep.
    public static func boot() -> Int64 {
        read(CLOCK_BOOTTIME)
    }

    /// The wall clock in milliseconds since the Unix epoch.
    public static func wall() -> Int64 {
        read(CLOCK_REALTIME) / 1_000_000
    }

    /// CLOCK_MONOTONIC in nanoseconds, for those outside who count by it: machines do not.
    public static func monotonic() -> Int64 {
        read(CLOCK_MONOTONIC)
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

import Glibc

/// The two clocks, read where shells need them; machines get their time passed in.
public enum Clock {
    /// CLOCK_BOOTTIME in nanoseconds: never steps, goes on in sleep.
    public static func boot() -> Int64 {
        read(CLOCK_BOOTTIME)
    }

    /// The wall clock in milliseconds since the Unix epoch.
    public static func wall() -> Int64 {
        read(CLOCK_REALTIME) / 1_000_000
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

import CLinux

/// The memory of the process.
public enum Heap {
    /// Gives pages that nothing stands in back to the kernel: behind a large piece of work that does not come again. It takes about a
    /// millisecond for each hundred megabytes that stay.
    public static func giveBack() {
        malloc_trim(0)
    }
}

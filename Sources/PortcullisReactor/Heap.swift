import CLinux

/// The memory of the process.
public enum Heap {
    /// To be called once, when what is held from the start stands: gives back to the kernel what is free, which takes about a millisecond
    /// for each hundred megabytes that stay; and from here on what is large is mapped by itself, so that it goes back when it is freed.
    ///
    /// glibc raises that bound with every large piece that is freed: each table that grew left its former place behind in the heap, 28 bytes
    /// a connection at 19,000. At the start it is the better way: the pages of the log are as many large pieces.
    public static func settle() {
        malloc_trim(0)
        mallopt(M_MMAP_THRESHOLD, 128 << 10)
    }

    /// Gives back to the kernel what is free, whole pages wherever they lie. It looks at all that is free, and everybody who allocates waits:
    /// nothing to be done often.
    public static func trim() {
        malloc_trim(0)
    }
}

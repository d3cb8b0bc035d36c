import Glibc

/// A descriptor that is kept for what must be opened even where there is none left: a gate whose clients hold all others could not reach
/// Redis again.
struct Reserve: ~Copyable {
    private var descriptor: Int32 = -1

    var isKept: Bool {
        descriptor >= 0
    }

    /// Opens it, where it is not.
    mutating func fill() {
        guard descriptor < 0 else { return }
        descriptor = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
    }

    /// Frees it for the next that is opened.
    /// - Returns: whether there was one.
    mutating func spend() -> Bool {
        guard descriptor >= 0 else { return false }
        Glibc.close(descriptor)
        descriptor = -1
        return true
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }
}

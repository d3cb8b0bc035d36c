import Glibc

/// Descriptors that are kept for links: where clients hold all others, a gate that has lost its links could not reach Redis again. There is
/// one more than links are missing, so that the place of a link that ends is its own until it is back.
struct Reserve: ~Copyable {
    private var descriptors: [Int32] = []
    private var links = 0
    private var mostLinks = 0

    /// Nobody should be accepted until it is.
    var isWhole: Bool {
        descriptors.count >= wanted
    }

    private var wanted: Int {
        mostLinks == 0 ? 0 : 1 + mostLinks - links
    }

    /// A link is open, or is being opened.
    mutating func linkOpened() {
        links += 1
        mostLinks = max(mostLinks, links)
        tend()
    }

    /// Its descriptor was closed just now.
    mutating func linkClosed() {
        links -= 1
        tend()
    }

    /// Opens what is missing, as far as that can be had, and frees what is too much.
    mutating func tend() {
        while descriptors.count < wanted {
            let descriptor = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            descriptors.append(descriptor)
        }
        while descriptors.count > wanted, spend() {}
    }

    /// Frees one for the next that is opened.
    /// - Returns: whether there was one.
    mutating func spend() -> Bool {
        guard let descriptor = descriptors.popLast() else { return false }
        Glibc.close(descriptor)
        return true
    }

    deinit {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }
}

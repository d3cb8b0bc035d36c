extension Engine {
    /// Whether something is so of a stream: a bit each, for there is a slot for every connection.
    struct Flags: OptionSet {
        let rawValue: UInt8

        static let finishing = Flags(rawValue: 1)
        static let watchesWriting = Flags(rawValue: 2)
        static let isLink = Flags(rawValue: 4)
        static let isGoverned = Flags(rawValue: 8)
        static let isHeld = Flags(rawValue: 16)
        static let isReadingPaused = Flags(rawValue: 32)
        static let holdsUnread = Flags(rawValue: 64)
        static let isParked = Flags(rawValue: 128)
    }
}

extension Engine.Slot {
    /// Shut down for writing as soon as the queue is empty.
    var finishing: Bool {
        get { has(.finishing) }
        set { set(.finishing, newValue) }
    }

    /// Whether the kernel is asked to tell when the stream is writable.
    var watchesWriting: Bool {
        get { has(.watchesWriting) }
        set { set(.watchesWriting, newValue) }
    }

    var isLink: Bool {
        get { has(.isLink) }
        set { set(.isLink, newValue) }
    }

    /// Whether its bytes pass only while the engine serves.
    var isGoverned: Bool {
        get { has(.isGoverned) }
        set { set(.isGoverned, newValue) }
    }

    /// Whether nothing of it passes though the engine serves.
    var isHeld: Bool {
        get { has(.isHeld) }
        set { set(.isHeld, newValue) }
    }

    /// Whether its owner takes no bytes for now.
    var isReadingPaused: Bool {
        get { has(.isReadingPaused) }
        set { set(.isReadingPaused, newValue) }
    }

    /// Whether its session holds bytes that may not be read yet: no event will tell of those.
    var holdsUnread: Bool {
        get { has(.holdsUnread) }
        set { set(.holdsUnread, newValue) }
    }

    /// Whether it had something to read or write while it must not: the kernel is asked for nothing meanwhile.
    var isParked: Bool {
        get { has(.isParked) }
        set { set(.isParked, newValue) }
    }

    private func has(_ flag: Engine.Flags) -> Bool {
        flags.contains(flag)
    }

    private mutating func set(_ flag: Engine.Flags, _ isSo: Bool) {
        if isSo { flags.insert(flag) } else { flags.remove(flag) }
    }
}

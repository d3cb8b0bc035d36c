import PortcullisRedis

/// Cuts the bytes of a subscription into whole RESP2 values, each with the bytes that it was made of.
struct PushSplitter {
    private var bytes: [UInt8] = []

    mutating func feed(_ more: ArraySlice<UInt8>) {
        bytes += more
    }

    /// The next whole value's bytes; nil where more are needed. What is no RESP2 comes out as it is.
    mutating func next() -> [UInt8]? {
        guard !bytes.isEmpty else { return nil }
        var at = 0
        switch skip(&at, depth: 0) {
        case .whole:
            defer { bytes.removeFirst(at) }
            return Array(bytes[..<at])
        case .partial: return nil
        case .foreign:
            defer { bytes = [] }
            return bytes
        }
    }

    private enum Found { case whole, partial, foreign }

    private func skip(_ at: inout Int, depth: Int) -> Found {
        guard depth < 8 else { return .foreign }
        guard let end = bytes[at...].firstIndex(of: 10) else { return .partial }
        guard end > at + 1 else { return .foreign }
        let kind = bytes[at]
        let number = Int(String(decoding: bytes[(at + 1)..<(end - 1)], as: UTF8.self))
        at = end + 1
        switch kind {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"): return .whole
        case UInt8(ascii: "$"):
            guard let number else { return .foreign }
            if number >= 0 { at += number + 2 }
            return at <= bytes.count ? .whole : .partial
        case UInt8(ascii: "*"):
            guard let number else { return .foreign }
            for _ in 0..<max(0, number) {
                guard at < bytes.count else { return .partial }
                let found = skip(&at, depth: depth + 1)
                guard found == .whole else { return found }
            }
            return .whole
        default: return .foreign
        }
    }

    /// Which kind of push a value is; nil: none that is ever dropped.
    static func kind(_ value: [UInt8]) -> Fault.Pushes? {
        guard let reader = RESPReader(), (try? reader.feed(value.span)) != nil, let parsed = try? reader.next(),
            let push = Push(parsed)
        else { return nil }
        switch push {
        case .invalidated: return .invalidations
        case .message(let channel, _):
            let name = String(decoding: channel, as: UTF8.self)
            if name.hasSuffix(":events") { return .events }
            return name.contains(":ctl:") ? .control : .others
        case .subscribed, .unsubscribed, .pong: return nil
        }
    }
}

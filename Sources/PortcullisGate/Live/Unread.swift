import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Synchronization

/// Messages of clients, a share a turn: one that has sent thousands of small ones holds up nobody. What it sent beyond its share is kept, it
/// is read no further meanwhile, and those who wait take turns.
extension GateLoop {
    private static let messagesAtOnce = 64
    /// What a turn spends on messages as they are read, and again on those that waited, in nanoseconds.
    private static let messageShare: Int64 = 500_000

    /// Begins the turn's share.
    func beginMessages() {
        messagesEnd = Clock.boot() + Self.messageShare
    }

    func framesReceived(_ stream: StreamID, _ bytes: Span<UInt8>) {
        heard(stream.slot)
        // Behind what waits already.
        if let waiting = unread[stream.slot] {
            waiting.bytes.append(bytes.indices, of: bytes)
            return
        }
        let taken = isCongested || Clock.boot() >= messagesEnd ? 0 : readFrames(stream, bytes, until: messagesEnd)
        guard taken < bytes.count, isCurrent(stream), lives[Int(stream.slot)].phase == .live else { return }
        unread[stream.slot] = Unread(bytes.copy(taken..<bytes.count))
        // Who is held back gets into line when it has tokens again (Pacing.swift).
        if !isHeldBack(stream) { unreadOrder.append(stream) }
        engine.pauseReading(stream)
    }

    /// Takes messages until there are none, the share is used up, or other loops can't follow.
    /// - Returns: how many bytes were taken.
    private func readFrames(_ stream: StreamID, _ bytes: Span<UInt8>, until end: Int64) -> Int {
        let slot = stream.slot
        var at = 0
        var count = 0
        while isCurrent(stream), lives[Int(slot)].phase == .live {
            if at < bytes.count, !mayRead(stream) { break }
            let start = at
            let step = frameReader.next(bytes, &at, &lives[Int(slot)].frames)
            guard charge(slot, step, at - start) else {
                condemn(slot, Closing(.policyViolation))
                break
            }
            switch step {
            case .needMore: return bytes.count
            case .message(let kind, let payload): messageReceived(slot, kind, payload)
            case .ping(let payload): pong(stream, payload)
            case .pong: break
            case .close(let code, _): closeReceived(slot, code)
            case .failed(let outcome): condemn(slot, Closing(outcome))
            }
            count += 1
            if count >= Self.messagesAtOnce || isCongested || Clock.boot() >= end { break }
        }
        return at
    }

    /// Goes on with those who wait, each its share, one after the other.
    func readOn() {
        // During a freeze nobody is heard; the thaw puts back in line who is let go.
        guard !unreadOrder.isEmpty, mayServe else { return }
        let end = Clock.boot() + Self.messageShare
        for _ in 0..<unreadOrder.count {
            guard !isCongested, let stream = unreadOrder.popFirst() else { return }
            readOn(stream, until: end)
            if Clock.boot() >= end { return }
        }
    }

    private func readOn(_ stream: StreamID, until end: Int64) {
        guard isCurrent(stream), let waiting = unread[stream.slot], mayServe(stream.slot) else { return }
        let bytes = waiting.bytes
        let span = bytes.span
        waiting.at += readFrames(stream, span.extracting(waiting.at..<bytes.count), until: end)
        guard unread[stream.slot] === waiting else { return }
        if waiting.at < waiting.bytes.count {
            if !isHeldBack(stream) { unreadOrder.append(stream) }
            return
        }
        forgetUnread(stream)
        caughtUp(stream)
    }

    /// A connection is let go: what it sent before is worked off.
    func putInLine(_ stream: StreamID) {
        if unread[stream.slot] != nil, !isHeldBack(stream) { unreadOrder.append(stream) }
    }

    /// Nothing waits any more, or nothing of it counts: the stream is read again.
    func forgetUnread(_ stream: StreamID) {
        guard !unread.isEmpty, unread.removeValue(forKey: stream.slot) != nil else { return }
        engine.resumeReading(stream)
    }

    /// Whether messages wait that can be worked off now.
    var hasUnread: Bool {
        !unreadOrder.isEmpty && mayServe
    }

    // MARK: - Between loops

    /// Whether a loop, or Redis, has so much to take that nothing more is taken for it: its clients' queues are bounded, and so is this.
    var isCongested: Bool {
        if shared.publishing.bytes.load(ordering: .relaxed) > RelayGauge.most { return true }
        return shared.relaying.contains { $0.bytes.load(ordering: .relaxed) > RelayGauge.most }
    }

    /// Delivers what other loops have relayed, behind all decisions that have come.
    func deliverRelayed() {
        guard !relayed.isEmpty else { return }
        let end = Clock.boot() + Self.messageShare
        while let message = relayed.popFirst() {
            deliver(message)
            shared.relaying[index].bytes.subtract(message.weight, ordering: .relaxed)
            if Clock.boot() >= end { return }
        }
    }
}

/// What a connection has sent beyond its share.
final class Unread {
    var bytes: [UInt8]
    /// How much of it is worked off.
    var at = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }
}

/// How much is on its way to a loop.
final class RelayGauge: Sendable {
    let loop: Int
    let bytes = Atomic<Int>(0)

    /// With more than this on its way no loop reads messages of its clients; each may be above it by one message.
    static let most = 1 << 20

    init(loop: Int) {
        self.loop = loop
    }

    /// The loop delivers nothing any more: nobody waits for it.
    func end() {
        bytes.store(.min / 2, ordering: .relaxed)
    }
}

extension Relayed {
    /// What it takes in memory, about.
    var weight: Int {
        let payload =
            switch content {
            case .text(let bytes), .binary(let bytes), .json(let bytes): bytes.count
            case .missed, .joined, .left: 0
            }
        return payload + resource.bytes.count + (user?.bytes.count ?? 0) + 256
    }
}

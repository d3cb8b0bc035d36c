import Glibc

/// One link through a ``FaultProxy``: two sockets, and what is on its way between them. Touched on the proxy's thread only.
struct ProxyLink {
    /// One direction.
    struct Way {
        /// What waits to be written.
        var output: [UInt8] = []
        /// What is held by a stall.
        var held: [UInt8] = []
        /// Whether bytes of it were swallowed: none pass any more.
        var isDead = false
        /// Whether its source has ended.
        var hasEnded = false
    }

    let gate: Int32
    let redis: Int32
    var kind = FaultScope.Link.command
    var toRedis = Way()
    var toGate = Way()
    private var splitter = PushSplitter()
    private var tail: [UInt8] = []
    var isBroken = false

    /// As a gate writes it: an array whose first part is this word.
    private static let subscribe = Array("$9\r\nSUBSCRIBE\r\n".utf8)

    init(gate: Int32, redis: Int32) {
        self.gate = gate
        self.redis = redis
    }

    subscript(direction: FaultScope.Direction) -> Way {
        get { direction == .toRedis ? toRedis : toGate }
        set { if direction == .toRedis { toRedis = newValue } else { toGate = newValue } }
    }

    /// Takes bytes that have come in a direction.
    mutating func received(
        _ bytes: ArraySlice<UInt8>,
        _ direction: FaultScope.Direction,
        _ fault: (FaultScope.Link, FaultScope.Direction) -> Fault,
        _ counts: inout FaultCounts
    ) {
        if direction == .toRedis, kind == .command {
            // The word may come in two parts.
            if (tail + bytes).firstRange(of: Self.subscribe) != nil { kind = .subscription }
            tail = (tail + bytes).suffix(Self.subscribe.count - 1)
        }
        let fault = fault(kind, direction)
        guard kind == .subscription, direction == .toGate else {
            return deliver(Array(bytes), direction, fault, &counts)
        }
        splitter.feed(bytes)
        while let value = splitter.next() {
            if case .drop(let pushes) = fault, let push = PushSplitter.kind(value), pushes.contains(push) {
                counts.dropped += 1
            } else {
                deliver(value, direction, fault, &counts)
            }
        }
    }

    private mutating func deliver(
        _ bytes: [UInt8],
        _ direction: FaultScope.Direction,
        _ fault: Fault,
        _ counts: inout FaultCounts
    ) {
        if self[direction].isDead || fault == .swallow {
            self[direction].isDead = true
            counts.swallowed += bytes.count
        } else if fault == .stall {
            self[direction].held += bytes
        } else {
            release(direction, fault, &counts)
            self[direction].output += bytes
        }
    }

    /// Delivers what was held, where it is held no more.
    mutating func release(_ direction: FaultScope.Direction, _ fault: Fault, _ counts: inout FaultCounts) {
        guard fault != .stall, !self[direction].held.isEmpty else { return }
        if fault == .swallow {
            self[direction].isDead = true
            counts.swallowed += self[direction].held.count
        } else {
            counts.late += self[direction].held.count
            self[direction].output += self[direction].held
        }
        self[direction].held = []
    }

    /// Writes what can be written now.
    mutating func flush(_ direction: FaultScope.Direction) {
        let target = direction == .toRedis ? redis : gate
        while !self[direction].output.isEmpty {
            let written = self[direction].output.withUnsafeBytes {
                // The pointer is used within the call only.
                send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if written < 0, errno == EINTR { continue }
            if written < 0, errno == EAGAIN { return }
            guard written > 0 else {
                // Who is gone takes nothing; on a half-open link the other side does not learn of it.
                self[direction].output = []
                if !self[direction == .toRedis ? .toGate : .toRedis].isDead { isBroken = true }
                return
            }
            self[direction].output.removeFirst(written)
        }
    }

    /// Whether both sockets are to be closed: one side has ended and the other has all that was on the way. Where Redis has ended on a
    /// half-open or stalled link, the gate is not told.
    var isOver: Bool {
        if isBroken || toRedis.hasEnded { return true }
        return toGate.hasEnded && !toGate.isDead && toGate.held.isEmpty && toGate.output.isEmpty
    }

    func close() {
        Glibc.close(gate)
        Glibc.close(redis)
    }
}

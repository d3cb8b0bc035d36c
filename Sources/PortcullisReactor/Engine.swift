import CLinux
import Glibc

/// The name of a stream of an engine. A slot is used again; the generation tells the new stream from the old one.
public struct StreamID: Hashable, Sendable {
    public let slot: UInt32
    public let generation: UInt32

    public init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    fileprivate var token: UInt64 {
        UInt64(generation) << 32 | UInt64(slot)
    }
}

/// Why a stream is gone.
public enum Gone: Equatable, Sendable {
    /// ``Engine/close(_:)`` was called.
    case closed
    /// The peer has ended the stream.
    case ended
    /// The peer or the network has broken it, or it could not be made: an error number.
    case failed(Int32)
    /// It could not be secured, or not any longer.
    case insecure(TLSFailure)
}

/// What an engine tells of its streams. All calls come on the engine's thread.
public protocol EngineDelegate: AnyObject {
    /// The first call of every turn, before any stream is touched: mail may have come.
    func turnBegan()
    /// Between the links and the clients of a turn: what the links have brought may change what the clients may do.
    func linksServed()
    func accepted(_ stream: StreamID, from peer: PeerAddress?)
    /// A stream of ``Engine/connect(to:securedBy:)`` stands, and is secured where that was asked for.
    func connected(_ stream: StreamID)
    func received(_ stream: StreamID, _ bytes: Span<UInt8>)
    /// All that had to wait for the peer has been written.
    func drained(_ stream: StreamID)
    /// The last call for every stream, exactly one.
    func gone(_ stream: StreamID, _ reason: Gone)
    /// Connections can't be accepted (an error number such as EMFILE); the engine tries again by itself.
    func acceptFailed(_ errno: Int32)
    /// The last call of every turn; what is due by time is done here.
    /// - Returns: for how many milliseconds the engine may wait for the next event; negative: for ever; nil: the engine stops.
    func turnEnded() -> Int32?
}

/// The event loop: sockets on epoll behind a face of completions (accepted, received these bytes, gone).
///
/// It has one buffer for reading, none a stream, and holds sixteen bytes and a queue reference for each. Confined to its thread.
public final class Engine {
    private struct Slot {
        var descriptor: Int32 = -1
        var generation: UInt32 = 0
        var state = State.free
        /// Shut down for writing as soon as the queue is empty.
        var finishing = false
        /// Whether the kernel is asked to tell when the stream is writable.
        var watchesWriting = false
        var isLink = false
        /// Whether its bytes pass only while the engine serves.
        var isGoverned = false
        /// Whether it had something to read or write while it must not: the kernel is asked for nothing meanwhile.
        var isParked = false
        var queue: OutputQueue?
        /// nil: the stream is plain.
        var tls: TLSSession?
    }

    private enum State: UInt8 {
        case free
        case connecting
        /// In the TLS handshake.
        case securing
        case open
        /// Closed by this side or found broken; told and reaped at the end of the turn.
        case dead
    }

    /// Tokens that are no streams.
    private enum Token {
        static let waker = UInt64.max
        static let links = UInt64.max - 1
        static let listener = UInt64.max - 2
    }

    private static let readSize = 64 << 10
    private static let eventsPerWait = 128
    /// Accepted in one turn; more wait for the next, behind what the accepted ones have sent.
    private static let acceptsPerTurn = 128

    /// What a turn waits for: the clients, the listener, and the set of the links within it.
    private let clients: Int32
    /// Links and waker. In a set of their own, so that they can be served first, and waited for alone when no client may be heard.
    private let links: Int32
    private let waker: Waker
    private let listener: ListeningSocket?
    /// How clients' streams are secured; nil: not at all.
    private var tls: TLSContext?
    private var listening = false
    /// Out of descriptors or memory: accepting is tried again a little later.
    private var isShort = false
    private var retryAcceptAt: Int64 = 0
    private var isPaused = false

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private var dead: [(StreamID, Gone)] = []
    private var parked: [StreamID] = []
    /// Streams that had to stop reading while their session held bytes: no event will tell of those.
    private var unread: [StreamID] = []
    /// On CLOCK_BOOTTIME, in nanoseconds.
    private var servesUntil = Int64.max
    private var buffer = [UInt8](repeating: 0, count: readSize)
    private var linkEvents = [epoll_event](repeating: epoll_event(), count: 64)
    private var clientEvents = [epoll_event](repeating: epoll_event(), count: eventsPerWait)

    /// How many client streams are open.
    public private(set) var clientCount = 0

    /// - Parameters:
    ///   - listener: what clients connect to; several engines may share one endpoint through sockets of their own.
    ///   - tls: how clients' streams are secured; nil: not at all.
    public init(waker: Waker, listener: ListeningSocket?, tls: TLSContext? = nil) throws(SocketError) {
        let clients = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard clients >= 0 else { throw SocketError("open an epoll set", errno: errno) }
        let links = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard links >= 0 else {
            let number = errno
            Glibc.close(clients)
            throw SocketError("open an epoll set", errno: number)
        }
        self.clients = clients
        self.links = links
        self.waker = waker
        self.listener = listener
        self.tls = tls
        control(links, EPOLL_CTL_ADD, waker.descriptor, EPOLLIN.rawValue, Token.waker)
        control(clients, EPOLL_CTL_ADD, links, EPOLLIN.rawValue, Token.links)
        resumeAccepting()
    }

    deinit {
        for slot in slots where slot.descriptor >= 0 { Glibc.close(slot.descriptor) }
        Glibc.close(links)
        Glibc.close(clients)
    }

    // MARK: - The loop

    /// Runs turns until the delegate ends it.
    public func run(_ delegate: some EngineDelegate) {
        var timeout: Int32 = 0
        while true {
            let count = wait(clients, &clientEvents, timeout)
            var linkCount = 0
            for index in 0..<count where clientEvents[index].data.u64 == Token.links {
                linkCount = wait(links, &linkEvents, 0)
            }
            if isShort, Clock.boot() >= retryAcceptAt {
                isShort = false
                watchListener(true)
            }
            // Before the mail is read: a message that is posted behind this wakes the next wait.
            for index in 0..<linkCount where linkEvents[index].data.u64 == Token.waker { waker.reset() }
            delegate.turnBegan()
            // Redis' links come first: decisions before data.
            for index in 0..<linkCount where linkEvents[index].data.u64 != Token.waker {
                handle(linkEvents[index], delegate)
            }
            delegate.linksServed()
            readOn(delegate)
            var listenerReady = false
            for index in 0..<count {
                switch clientEvents[index].data.u64 {
                case Token.links: break
                case Token.listener: listenerReady = true
                default: handle(clientEvents[index], delegate)
                }
            }
            if listenerReady { accept(delegate) }
            let patience = delegate.turnEnded()
            reap(delegate)
            guard let patience else { return }
            timeout = dead.isEmpty ? patience : 0
            if isShort { timeout = patience < 0 ? 100 : min(patience, 100) }
        }
    }

    /// - Returns: how many events came; a wait that a signal broke has none.
    private func wait(_ set: Int32, _ events: inout [epoll_event], _ timeout: Int32) -> Int {
        let count = events.withUnsafeMutableBufferPointer { epoll_wait(set, $0.baseAddress, Int32($0.count), timeout) }
        return Int(max(0, count))
    }

    private func handle(_ event: epoll_event, _ delegate: some EngineDelegate) {
        let slot = UInt32(truncatingIfNeeded: event.data.u64)
        let stream = StreamID(slot: slot, generation: UInt32(truncatingIfNeeded: event.data.u64 >> 32))
        guard isKnown(stream) else { return }
        let flags = event.events
        if slots[Int(slot)].state == .connecting {
            finishConnecting(stream, delegate)
            return
        }
        if slots[Int(slot)].isGoverned, !isServing {
            // These two cannot be masked, and say that there is nobody any more.
            if flags & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { die(stream, .ended) } else { park(stream) }
            return
        }
        guard slots[Int(slot)].tls == nil else { return handleSecured(stream, flags, delegate) }
        if flags & EPOLLOUT.rawValue != 0 { flush(stream, delegate) }
        if flags & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 {
            read(stream, delegate)
        }
    }

    private func accept(_ delegate: some EngineDelegate) {
        guard let listener else { return }
        for _ in 0..<Self.acceptsPerTurn {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            // The storage is large enough for every kind of address.
            let descriptor = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(listener.descriptor, $0, &length, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
                }
            }
            if descriptor < 0 {
                switch errno {
                case EAGAIN: return
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    // Level-triggered: left in the set it would wake the loop without end.
                    let number = errno
                    watchListener(false)
                    isShort = true
                    retryAcceptAt = Clock.boot() + 100_000_000
                    delegate.acceptFailed(number)
                    return
                // The connection was gone before it was accepted.
                default: continue
                }
            }
            var session: TLSSession?
            if let tls {
                session = TLSSession(tls, name: nil, descriptor: descriptor)
                guard session != nil else {
                    Glibc.close(descriptor)
                    delegate.acceptFailed(ENOMEM)
                    return
                }
            }
            let stream = open(descriptor, session == nil ? .open : .securing, isLink: false, session)
            clientCount += 1
            delegate.accepted(stream, from: PeerAddress(storage))
        }
    }

    /// Stops accepting; connections wait in the backlog.
    public func pauseAccepting() {
        isPaused = true
        watchListener(false)
    }

    public func resumeAccepting() {
        isPaused = false
        if !isShort { watchListener(true) }
    }

    private func watchListener(_ on: Bool) {
        guard let listener, on != listening, !(on && isPaused) else { return }
        let operation = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL
        control(clients, operation, listener.descriptor, EPOLLIN.rawValue, Token.listener)
        listening = on
    }

    private func reap(_ delegate: some EngineDelegate) {
        // What the delegate closes while it is told is told in the next turn.
        let batch = dead
        guard !batch.isEmpty else { return }
        dead.removeAll(keepingCapacity: true)
        for (stream, reason) in batch {
            let index = Int(stream.slot)
            delegate.gone(stream, reason)
            Glibc.close(slots[index].descriptor)
            if !slots[index].isLink { clientCount -= 1 }
            slots[index] = Slot(generation: slots[index].generation &+ 1)
            free.append(stream.slot)
        }
    }

    // MARK: - Streams

    private func isKnown(_ stream: StreamID) -> Bool {
        let index = Int(stream.slot)
        guard index < slots.count else { return false }
        return slots[index].generation == stream.generation
            && slots[index].state != .free && slots[index].state != .dead
    }

    private func open(_ descriptor: Int32, _ state: State, isLink: Bool, _ tls: TLSSession?) -> StreamID {
        let slot: UInt32
        if let used = free.popLast() {
            slot = used
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot())
        }
        let index = Int(slot)
        let stream = StreamID(slot: slot, generation: slots[index].generation)
        slots[index].descriptor = descriptor
        slots[index].state = state
        slots[index].isLink = isLink
        slots[index].tls = tls
        slots[index].watchesWriting = state == .connecting
        let interest = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | (state == .connecting ? EPOLLOUT.rawValue : 0)
        control(isLink ? links : clients, EPOLL_CTL_ADD, descriptor, interest, stream.token)
        return stream
    }

    /// Begins a connection of the gate's own; ``EngineDelegate/connected(_:)`` or ``EngineDelegate/gone(_:_:)`` follows.
    /// - Parameter tls: how it is secured; nil: not at all.
    public func connect(to endpoint: Endpoint, securedBy tls: TLSClient? = nil) throws(SocketError) -> StreamID {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(endpoint.family, Int32(kind), 0)
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        if endpoint.family != AF_UNIX {
            var on: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        let attempt = endpoint.withSockaddr { Glibc.connect(descriptor, $0, $1) }
        guard attempt.result == 0 || attempt.errno == EINPROGRESS else {
            Glibc.close(descriptor)
            throw SocketError("connect to \(endpoint)", errno: attempt.errno)
        }
        guard let tls else { return open(descriptor, .connecting, isLink: true, nil) }
        guard let session = TLSSession(tls.context, name: tls.name, descriptor: descriptor) else {
            Glibc.close(descriptor)
            throw SocketError("secure a connection to \(tls.name)", errno: EINVAL)
        }
        return open(descriptor, .connecting, isLink: true, session)
    }

    private func finishConnecting(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        var failure: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(slots[index].descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
        guard failure == 0 else { return die(stream, .failed(failure)) }
        guard slots[index].tls == nil else {
            slots[index].state = .securing
            return secure(stream, delegate)
        }
        opened(stream)
        delegate.connected(stream)
    }

    /// What was sent meanwhile waits; it goes out in the next turn.
    private func opened(_ stream: StreamID) {
        let index = Int(stream.slot)
        slots[index].state = .open
        let waits = slots[index].queue?.bytes ?? 0 > 0
        watchWriting(stream, waits)
        if slots[index].finishing, !waits { endWriting(stream) }
    }

    private func read(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard isKnown(stream) else { return }
        guard !slots[index].isGoverned || isServing else { return park(stream) }
        let descriptor = slots[index].descriptor
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count > 0 {
            // The copy holds the same bytes: were the delegate to cause another read, that one would get a buffer of its own.
            let chunk = buffer
            delegate.received(stream, chunk.span.extracting(first: count))
        } else if count == 0 {
            die(stream, .ended)
        } else if errno != EAGAIN, errno != EINTR {
            die(stream, .failed(errno))
        }
    }

    /// Writes what the kernel takes at once and keeps the rest in order. A buffer that goes to many streams is shared, not copied.
    public func send(_ stream: StreamID, _ bytes: [UInt8]) {
        guard isKnown(stream), !bytes.isEmpty else { return }
        let index = Int(stream.slot)
        guard !slots[index].finishing else { return }
        var written = 0
        let isHeld = slots[index].isGoverned && !isServing
        if !isHeld, slots[index].state == .open, slots[index].queue?.bytes ?? 0 == 0 {
            guard let count = bytes.withUnsafeBytes({ write(index, $0) }) else { return die(stream, broken(index)) }
            written = count
        }
        guard written < bytes.count else { return }
        let queue = slots[index].queue ?? OutputQueue()
        queue.append(bytes, from: written)
        slots[index].queue = queue
        if slots[index].state != .securing { watchWriting(stream, slots[index].tls?.writing != .awaitsReading) }
        if isHeld { park(stream) }
    }

    /// - Returns: how many bytes the kernel took (0 where it is full), nil on an error.
    private func write(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        guard slots[index].tls == nil else { return writeSecured(index, bytes) }
        let count = Glibc.send(slots[index].descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    private func flush(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard isKnown(stream), let queue = slots[index].queue else { return watchWriting(stream, false) }
        guard !slots[index].isGoverned || isServing else { return park(stream) }
        guard queue.flush({ passes(index) ? write(index, $0) : 0 }) else { return die(stream, broken(index)) }
        guard queue.bytes == 0 else { return }
        slots[index].queue = nil
        watchWriting(stream, false)
        if slots[index].finishing { endWriting(stream) }
        delegate.drained(stream)
    }

    private func watchWriting(_ stream: StreamID, _ on: Bool) {
        let index = Int(stream.slot)
        guard slots[index].watchesWriting != on else { return }
        slots[index].watchesWriting = on
        if !slots[index].isParked { watch(stream) }
    }

    /// Asks the kernel to tell what the stream is ready for.
    private func watch(_ stream: StreamID) {
        let slot = slots[Int(stream.slot)]
        let interest = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | (slot.watchesWriting ? EPOLLOUT.rawValue : 0)
        control(
            slot.isLink ? links : clients,
            EPOLL_CTL_MOD,
            slot.descriptor,
            slot.isParked ? 0 : interest,
            stream.token
        )
    }

    // MARK: - Serving

    /// Up to when the bytes of governed streams may pass. It is compared with the clock before every single read and write, so that no
    /// pause of the process gets past it.
    /// - Parameter deadline: on CLOCK_BOOTTIME, in nanoseconds; `Int64.max`: always.
    public func serve(until deadline: Int64) {
        servesUntil = deadline
        guard !parked.isEmpty, isServing else { return }
        let batch = parked
        parked.removeAll()
        for stream in batch where isKnown(stream) { unpark(stream) }
    }

    private var isServing: Bool {
        servesUntil == .max || Clock.boot() < servesUntil
    }

    /// Whether bytes of the stream may pass now.
    private func passes(_ index: Int) -> Bool {
        !slots[index].isGoverned || isServing
    }

    /// From here on the stream's bytes pass only while the engine serves; what is sent meanwhile waits.
    public func govern(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].isGoverned = true
    }

    /// The stream is to be closed: its last bytes pass at any time.
    public func release(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].isGoverned = false
        unpark(stream)
    }

    /// A stream that is ready but must wait would wake the loop without end. Nothing is paid for this while the engine serves.
    private func park(_ stream: StreamID) {
        let index = Int(stream.slot)
        guard !slots[index].isParked else { return }
        slots[index].isParked = true
        parked.append(stream)
        watch(stream)
    }

    private func unpark(_ stream: StreamID) {
        let index = Int(stream.slot)
        guard slots[index].isParked else { return }
        slots[index].isParked = false
        watch(stream)
    }

    /// How many bytes wait to be written.
    public func queued(_ stream: StreamID) -> Int {
        isKnown(stream) ? slots[Int(stream.slot)].queue?.bytes ?? 0 : 0
    }

    /// Drops what waits, but for a buffer that is partly written.
    /// - Returns: whether there is such a buffer.
    @discardableResult
    public func dropQueue(_ stream: StreamID) -> Bool {
        guard isKnown(stream) else { return false }
        let index = Int(stream.slot)
        guard let queue = slots[index].queue else { return false }
        // A session that could not write a buffer has begun to: it must be offered the same bytes again.
        queue.dropUnstarted(keepsFirst: slots[index].tls?.writing != nil)
        return queue.bytes > 0
    }

    /// Ends writing once all that waits is written: the peer sees the end of the stream, and its last bytes before it.
    public func finish(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        let index = Int(stream.slot)
        guard !slots[index].finishing else { return }
        slots[index].finishing = true
        // Before it stands there is nothing to shut down: that is done then.
        guard slots[index].state == .open, slots[index].queue?.bytes ?? 0 == 0 else { return }
        endWriting(stream)
    }

    private func endWriting(_ stream: StreamID) {
        let index = Int(stream.slot)
        if let tls = slots[index].tls {
            guard tls.sayGoodbye() else { return watchWriting(stream, true) }
            watchWriting(stream, false)
        }
        shutdown(slots[index].descriptor, Int32(SHUT_WR))
    }

    /// Closes at once. ``EngineDelegate/gone(_:_:)`` comes at the end of the turn.
    public func close(_ stream: StreamID) {
        die(stream, .closed)
    }

    private func die(_ stream: StreamID, _ reason: Gone) {
        guard isKnown(stream) else { return }
        let index = Int(stream.slot)
        slots[index].state = .dead
        slots[index].queue = nil
        // Out of its set by the close of the descriptor; until then level-triggered events are ignored by state.
        dead.append((stream, reason))
    }

    // MARK: - TLS

    /// Clients that come from here on are secured by another certificate; those that are there keep theirs.
    public func secureClients(by context: TLSContext) {
        guard tls != nil, context.isServer else { return }
        tls = context
    }

    /// Whether the stream's TLS handshake is not through yet.
    public func isSecuring(_ stream: StreamID) -> Bool {
        isKnown(stream) && slots[Int(stream.slot)].state == .securing
    }

    /// Goes on with those that stopped in the middle of a record.
    private func readOn(_ delegate: some EngineDelegate) {
        guard !unread.isEmpty, isServing else { return }
        let batch = unread
        unread.removeAll()
        for stream in batch where isKnown(stream) {
            if let tls = slots[Int(stream.slot)].tls { readSecured(stream, tls, delegate) }
        }
    }

    private func handleSecured(_ stream: StreamID, _ flags: UInt32, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard slots[index].state == .open, let tls = slots[index].tls else { return secure(stream, delegate) }
        if flags & EPOLLOUT.rawValue != 0 || tls.writing == .awaitsReading {
            if slots[index].queue == nil, slots[index].finishing { endWriting(stream) } else { flush(stream, delegate) }
        }
        if flags & ~EPOLLOUT.rawValue != 0 || tls.readingAwaitsWriting { readSecured(stream, tls, delegate) }
        guard tls.readingAwaitsWriting, isKnown(stream) else { return }
        watchWriting(stream, true)
    }

    /// Goes on with the handshake. A client is told of when its stream is accepted, a link when it is secured.
    private func secure(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard let tls = slots[index].tls else { return }
        switch tls.handshake() {
        case .done:
            opened(stream)
            if slots[index].isLink { delegate.connected(stream) }
        case .awaitsReading: watchWriting(stream, false)
        case .awaitsWriting: watchWriting(stream, true)
        case .ended: die(stream, .ended)
        case .broken(let number): die(stream, .failed(number))
        case .failed(let failure):
            discardInput(index)
            die(stream, .insecure(failure))
        }
    }

    /// Unread bytes would make the close a reset, which may overtake the alert that says why.
    private func discardInput(_ index: Int) {
        let descriptor = slots[index].descriptor
        _ = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
    }

    private func readSecured(_ stream: StreamID, _ tls: TLSSession, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        repeat {
            guard passes(index) else {
                unread.append(stream)
                return park(stream)
            }
            var count = 0
            var end: Gone?
            records: while count < buffer.count, passes(index) {
                let step = buffer.withUnsafeMutableBytes {
                    tls.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
                }
                switch step {
                case .done(let more): count += more
                case .awaitsReading, .awaitsWriting: break records
                case .ended: end = .ended
                case .broken(let number): end = .failed(number)
                case .failed(let failure): end = .insecure(failure)
                }
                if end != nil { break }
            }
            if count > 0 {
                let chunk = buffer
                delegate.received(stream, chunk.span.extracting(first: count))
            }
            if let end { return die(stream, end) }
        } while isKnown(stream) && tls.holdsBytes
    }

    private func writeSecured(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let tls = slots[index].tls else { return nil }
        switch tls.write(bytes, mayGoOn: { passes(index) }) {
        case .done(let count): return count
        case .awaitsReading, .awaitsWriting: return 0
        case .ended, .broken, .failed: return nil
        }
    }

    /// Why a write failed.
    private func broken(_ index: Int) -> Gone {
        guard let tls = slots[index].tls else { return .failed(errno) }
        return switch tls.lastWrite {
        case .failed(let failure): .insecure(failure)
        case .broken(let number): .failed(number)
        default: .ended
        }
    }
}

private func control(_ set: Int32, _ operation: Int32, _ descriptor: Int32, _ interest: UInt32, _ token: UInt64) {
    var event = epoll_event()
    event.events = interest
    event.data.u64 = token
    epoll_ctl(set, operation, descriptor, &event)
}

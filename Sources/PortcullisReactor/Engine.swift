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

    var token: UInt64 {
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
    struct Slot {
        var descriptor: Int32 = -1
        var generation: UInt32 = 0
        var state = State.free
        var flags = Flags()
        /// How many bytes may be read at once.
        var readLimit = UInt16.max
        var queue: OutputQueue?
        /// nil: the stream is plain.
        var tls: TLSSession?
    }

    enum State: UInt8 {
        case free
        case connecting
        /// In the TLS handshake.
        case securing
        case open
        /// Closed by this side or found broken; told and reaped at the end of the turn.
        case dead
    }

    /// Tokens that are no streams.
    enum Token {
        static let waker = UInt64.max
        static let links = UInt64.max - 1
        static let listener = UInt64.max - 2
    }

    static let readSize = 64 << 10
    static let eventsPerWait = 128
    /// Accepted in one turn; more wait for the next, behind what the accepted ones have sent.
    static let acceptsPerTurn = 128
    /// How long nobody is accepted where descriptors or memory have run out, in nanoseconds.
    static let shortage: Int64 = 100_000_000

    /// What a turn waits for: the clients, the listener, and the set of the links within it.
    let clients: Int32
    /// Links and waker. In a set of their own, so that they can be served first, and waited for alone when no client may be heard.
    let links: Int32
    let waker: Waker
    let listener: ListeningSocket?
    /// How clients' streams are secured; nil: not at all.
    var tls: TLSContext?
    /// Whether clients' streams are secured only by ``beginSecuring(_:)``: something comes in front.
    public var securesLater = false
    var listening = false
    /// Out of descriptors or memory: accepting is tried again a little later.
    var isShort = false
    var retryAcceptAt: Int64 = 0
    var isPaused = false
    private var reserve = Reserve()

    var slots: [Slot] = []
    var free: [UInt32] = []
    /// The generation of slots that are new: past those of all that were given up.
    var firstGeneration: UInt32 = 0
    var dead: [(StreamID, Gone)] = []
    /// Those of which the delegate is being told.
    private var reaped: [(StreamID, Gone)] = []
    var parked: [StreamID] = []
    /// Streams whose sessions hold bytes that may be read by now.
    var readable: [StreamID] = []
    /// On CLOCK_BOOTTIME, in nanoseconds.
    var servesUntil = Int64.max
    var buffer = [UInt8](repeating: 0, count: readSize)
    var linkEvents = [epoll_event](repeating: epoll_event(), count: 64)
    var clientEvents = [epoll_event](repeating: epoll_event(), count: eventsPerWait)

    /// How many client streams are open.
    public internal(set) var clientCount = 0

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
                reserve.tend()
                isShort = !reserve.isWhole
                if isShort { retryAcceptAt = Clock.boot() + Self.shortage } else { watchListener(true) }
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
            timeout = dead.isEmpty && readable.isEmpty ? patience : 0
            if isShort { timeout = patience < 0 ? 100 : min(patience, 100) }
        }
    }

    /// - Returns: how many events came; a wait that a signal broke has none.
    func wait(_ set: Int32, _ events: inout [epoll_event], _ timeout: Int32) -> Int {
        let count = events.withUnsafeMutableBufferPointer { epoll_wait(set, $0.baseAddress, Int32($0.count), timeout) }
        return Int(max(0, count))
    }

    func handle(_ event: epoll_event, _ delegate: some EngineDelegate) {
        let slot = UInt32(truncatingIfNeeded: event.data.u64)
        let stream = StreamID(slot: slot, generation: UInt32(truncatingIfNeeded: event.data.u64 >> 32))
        guard isKnown(stream) else { return }
        let flags = event.events
        if slots[Int(slot)].state == .connecting {
            finishConnecting(stream, delegate)
            return
        }
        if !passes(Int(slot)) {
            // These two cannot be masked, and say that there is nobody any more.
            if flags & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { die(stream, .ended) } else { park(stream) }
            return
        }
        if slots[Int(slot)].isReadingPaused {
            if flags & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { return die(stream, .ended) }
            if flags & EPOLLOUT.rawValue != 0 { flush(stream, delegate) }
            return
        }
        guard slots[Int(slot)].tls == nil else { return handleSecured(stream, flags, delegate) }
        if flags & EPOLLOUT.rawValue != 0 { flush(stream, delegate) }
        if flags & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 {
            read(stream, delegate)
        }
    }

    func reap(_ delegate: some EngineDelegate) {
        guard !dead.isEmpty else { return }
        // What the delegate closes while it is told is told in the next turn.
        swap(&dead, &reaped)
        for (stream, reason) in reaped {
            let index = Int(stream.slot)
            delegate.gone(stream, reason)
            portcullis_close(slots[index].descriptor)
            if slots[index].isLink {
                reserve.linkClosed()
            } else {
                clientCount -= 1
                if isShort { reserve.tend() }
            }
            slots[index] = Slot(generation: slots[index].generation &+ 1)
            free.append(stream.slot)
        }
        reaped.removeAll(keepingCapacity: reaped.count <= 1024)
    }

    // MARK: - Streams

    func isKnown(_ stream: StreamID) -> Bool {
        let index = Int(stream.slot)
        guard index < slots.count else { return false }
        return slots[index].generation == stream.generation
            && slots[index].state != .free && slots[index].state != .dead
    }

    func open(_ descriptor: Int32, _ state: State, isLink: Bool, _ tls: TLSSession?) -> StreamID {
        let slot: UInt32
        if let used = free.popLast() {
            slot = used
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot(generation: firstGeneration))
        }
        if isLink { reserve.linkOpened() }
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
        let descriptor = try openSocket(endpoint.family)
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

    private func openSocket(_ family: Int32) throws(SocketError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        var descriptor = socket(family, kind, 0)
        if descriptor < 0, errno == EMFILE || errno == ENFILE, reserve.spend() {
            descriptor = socket(family, kind, 0)
            // What is free next is the reserve again, before anybody is accepted.
            runShort()
        }
        guard descriptor >= 0 else { throw SocketError("open a socket", errno: errno) }
        return descriptor
    }

    func finishConnecting(_ stream: StreamID, _ delegate: some EngineDelegate) {
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
    func opened(_ stream: StreamID) {
        let index = Int(stream.slot)
        slots[index].state = .open
        let waits = slots[index].queue?.bytes ?? 0 > 0
        watchWriting(stream, waits)
        if slots[index].finishing, !waits { endWriting(stream) }
    }

    func read(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard isKnown(stream) else { return }
        guard passes(index) else { return park(stream) }
        let descriptor = slots[index].descriptor
        let limit = slots[index].readLimit
        let most = limit == .max ? buffer.count : Int(limit)
        let count = buffer.withUnsafeMutableBytes {
            portcullis_recv(descriptor, $0.baseAddress, min($0.count, most), 0)
        }
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

    func watchWriting(_ stream: StreamID, _ on: Bool) {
        let index = Int(stream.slot)
        guard slots[index].watchesWriting != on else { return }
        slots[index].watchesWriting = on
        if !slots[index].isParked { watch(stream) }
    }

    /// Asks the kernel to tell what the stream is ready for.
    func watch(_ stream: StreamID) {
        let slot = slots[Int(stream.slot)]
        let reading = slot.isReadingPaused ? 0 : EPOLLIN.rawValue | EPOLLRDHUP.rawValue
        let interest = reading | (slot.watchesWriting ? EPOLLOUT.rawValue : 0)
        control(
            slot.isLink ? links : clients,
            EPOLL_CTL_MOD,
            slot.descriptor,
            slot.isParked ? 0 : interest,
            stream.token
        )
    }

    /// The owner has enough: nothing more is read until ``resumeReading(_:)``.
    public func pauseReading(_ stream: StreamID) {
        guard isKnown(stream), !slots[Int(stream.slot)].isReadingPaused else { return }
        slots[Int(stream.slot)].isReadingPaused = true
        if !slots[Int(stream.slot)].isParked { watch(stream) }
    }

    public func resumeReading(_ stream: StreamID) {
        guard isKnown(stream), slots[Int(stream.slot)].isReadingPaused else { return }
        slots[Int(stream.slot)].isReadingPaused = false
        readLater(stream)
        if !slots[Int(stream.slot)].isParked { watch(stream) }
    }

    /// Reads no more than this at once: what comes behind is for somebody else. It holds for streams that are not secured.
    public func limitReading(_ stream: StreamID, to count: Int) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].readLimit = UInt16(clamping: max(1, count))
    }

    /// Closes at once. ``EngineDelegate/gone(_:_:)`` comes at the end of the turn.
    public func close(_ stream: StreamID) {
        die(stream, .closed)
    }

    func die(_ stream: StreamID, _ reason: Gone) {
        guard isKnown(stream) else { return }
        let index = Int(stream.slot)
        slots[index].state = .dead
        slots[index].queue = nil
        // Out of its set by the close of the descriptor; until then level-triggered events are ignored by state.
        dead.append((stream, reason))
    }
}

func control(_ set: Int32, _ operation: Int32, _ descriptor: Int32, _ interest: UInt32, _ token: UInt64) {
    var event = epoll_event()
    event.events = interest
    event.data.u64 = token
    epoll_ctl(set, operation, descriptor, &event)
}

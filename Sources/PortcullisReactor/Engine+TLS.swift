import CLinux
import Glibc

/// Streams that are secured: the handshake, and reading and writing by it.
extension Engine {
    /// Clients that come from here on are secured by another certificate; those that are there keep theirs.
    public func secureClients(by context: TLSContext) {
        guard tls != nil, context.isServer else { return }
        tls = context
    }

    /// Begins TLS on a client's stream, with the next byte that comes.
    /// - Returns: false where memory has run out.
    public func beginSecuring(_ stream: StreamID) -> Bool {
        guard isKnown(stream), let tls, slots[Int(stream.slot)].tls == nil else { return true }
        let index = Int(stream.slot)
        guard let session = TLSSession(tls, name: nil, descriptor: slots[index].descriptor) else { return false }
        slots[index].tls = session
        slots[index].state = .securing
        return true
    }

    /// Whether the stream's TLS handshake is not through yet.
    public func isSecuring(_ stream: StreamID) -> Bool {
        isKnown(stream) && slots[Int(stream.slot)].state == .securing
    }

    func handleSecured(_ stream: StreamID, _ flags: UInt32, _ delegate: some EngineDelegate) {
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
    func secure(_ stream: StreamID, _ delegate: some EngineDelegate) {
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

    func readSecured(_ stream: StreamID, _ tls: TLSSession, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        repeat {
            guard mayRead(index) else {
                slots[index].holdsUnread = true
                if !passes(index) { park(stream) }
                return
            }
            var count = 0
            var end: Gone?
            records: while count < buffer.count, mayRead(index) {
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

    private func mayRead(_ index: Int) -> Bool {
        passes(index) && !slots[index].isReadingPaused
    }

    /// A stream may be read again: what its session holds is read in the next turn, or in this one.
    func readLater(_ stream: StreamID) {
        guard slots[Int(stream.slot)].holdsUnread else { return }
        slots[Int(stream.slot)].holdsUnread = false
        readable.append(stream)
    }

    func readOn(_ delegate: some EngineDelegate) {
        guard !readable.isEmpty else { return }
        let batch = readable
        readable.removeAll()
        for stream in batch where isKnown(stream) {
            if let tls = slots[Int(stream.slot)].tls { readSecured(stream, tls, delegate) }
        }
    }

    func writeSecured(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let tls = slots[index].tls else { return nil }
        switch tls.write(bytes, mayGoOn: { passes(index) }) {
        case .done(let count): return count
        case .awaitsReading, .awaitsWriting: return 0
        case .ended, .broken, .failed: return nil
        }
    }

    /// Why a write failed.
    func broken(_ index: Int) -> Gone {
        guard let tls = slots[index].tls else { return .failed(errno) }
        return switch tls.lastWrite {
        case .failed(let failure): .insecure(failure)
        case .broken(let number): .failed(number)
        default: .ended
        }
    }
}

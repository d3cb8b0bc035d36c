import CLinux
import Glibc

/// Streams that are secured: the handshake, and reading and writing by it.
extension Engine {
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
        case .failed(let failure): die(stream, .insecure(failure))
        }
    }

    func readSecured(_ stream: StreamID, _ tls: TLSSession, _ delegate: some EngineDelegate) {
        repeat {
            var count = 0
            var end: Gone?
            records: while count < buffer.count {
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

    func writeSecured(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let tls = slots[index].tls else { return nil }
        switch tls.write(bytes) {
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

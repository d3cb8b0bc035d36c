import CLinux
import Glibc

/// What is written, at once or as the peer makes room, and the end of writing.
extension Engine {
    /// Writes what the kernel takes at once and keeps the rest in order. A buffer that goes to many streams is shared, not copied.
    public func send(_ stream: StreamID, _ bytes: [UInt8]) {
        guard isKnown(stream), !bytes.isEmpty else { return }
        let index = Int(stream.slot)
        guard !slots[index].finishing else { return }
        var written = 0
        let mustWait = !passes(index)
        if !mustWait, slots[index].state == .open, slots[index].queue?.bytes ?? 0 == 0 {
            guard let count = bytes.withUnsafeBytes({ write(index, $0) }) else { return die(stream, broken(index)) }
            written = count
        }
        guard written < bytes.count else { return }
        let queue = slots[index].queue ?? OutputQueue()
        queue.append(bytes, from: written)
        slots[index].queue = queue
        if slots[index].state != .securing { watchWriting(stream, slots[index].tls?.writing != .awaitsReading) }
        if mustWait { park(stream) }
    }

    /// - Returns: how many bytes the kernel took (0 where it is full), nil on an error.
    func write(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        guard slots[index].tls == nil else { return writeSecured(index, bytes) }
        let count = portcullis_send(slots[index].descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    func flush(_ stream: StreamID, _ delegate: some EngineDelegate) {
        let index = Int(stream.slot)
        guard isKnown(stream), let queue = slots[index].queue else { return watchWriting(stream, false) }
        guard passes(index) else { return park(stream) }
        guard queue.flush({ passes(index) ? write(index, $0) : 0 }) else { return die(stream, broken(index)) }
        guard queue.bytes == 0 else { return }
        slots[index].queue = nil
        watchWriting(stream, false)
        if slots[index].finishing { endWriting(stream) }
        delegate.drained(stream)
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

    func endWriting(_ stream: StreamID) {
        let index = Int(stream.slot)
        if let tls = slots[index].tls {
            guard tls.sayGoodbye() else { return watchWriting(stream, true) }
            watchWriting(stream, false)
        }
        shutdown(slots[index].descriptor, Int32(SHUT_WR))
    }
}

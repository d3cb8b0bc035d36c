/// What a stream still has to write: whole buffers, shared with other streams where the same bytes go to many.
final class OutputQueue {
    private var buffers: [[UInt8]] = []
    private var first = 0
    /// How much of the first buffer has been written.
    private var offset = 0
    private(set) var bytes = 0

    func append(_ buffer: [UInt8], from start: Int) {
        if bytes == 0 {
            buffers.removeAll(keepingCapacity: true)
            first = 0
            offset = start
            buffers.append(buffer)
        } else {
            buffers.append(start == 0 ? buffer : Array(buffer[start...]))
        }
        bytes += buffer.count - start
    }

    /// Writes as long as `write` takes everything it is given; it returns how much it took, nil on an error.
    /// - Returns: false on an error.
    func flush(_ write: (UnsafeRawBufferPointer) -> Int?) -> Bool {
        while bytes > 0, first < buffers.count {
            let rest = buffers[first].count - offset
            let written = buffers[first].withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
            guard let written else { return false }
            bytes -= written
            offset += written
            guard written == rest else { return true }
            buffers[first] = []
            first += 1
            offset = 0
        }
        return true
    }

    /// Drops all that has not begun; the buffer that is partly written stays, or the peer would see half a frame.
    /// - Parameter keepsFirst: whether the first buffer has begun, though the queue can't see it.
    func dropUnstarted(keepsFirst: Bool = false) {
        guard bytes > 0, first < buffers.count else { return }
        if offset > 0 || keepsFirst {
            buffers.removeSubrange((first + 1)...)
            bytes = buffers[first].count - offset
        } else {
            buffers.removeAll()
            first = 0
            bytes = 0
        }
    }
}

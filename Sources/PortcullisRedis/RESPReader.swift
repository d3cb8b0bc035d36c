import CHiredis

/// What Redis sends that is no RESP2, or larger than anything a gate asks for. The link is dropped.
public struct RESPError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// Turns the bytes of a link into replies: the one owner of a hiredis reader.
///
/// hiredis parses; its objects, one allocated for each part of a reply, are not made: a page of the log would be tens of thousands.
public final class RESPReader {
    // Owned: made in init, freed in deinit, never handed out.
    private let reader: UnsafeMutablePointer<redisReader>
    // What hiredis' calls write to, for every part in order. Owned: made in init, freed in deinit behind the reader, which holds the only
    // other pointer to it. An object would be retained and released for every part.
    private let growing: UnsafeMutablePointer<RESPReply>
    private var buffered = 0
    /// Whether what stands in `growing` was whole and handed out.
    private var isTaken = false

    /// More bytes than this without a whole reply are an error.
    private static let maximumReply = 256 << 20

    /// nil where memory has run out.
    public init?() {
        guard let reader = redisReaderCreateWithFunctions(Self.functions) else { return nil }
        self.reader = reader
        growing = .allocate(capacity: 1)
        growing.initialize(to: RESPReply())
        reader.pointee.privdata = UnsafeMutableRawPointer(growing)
    }

    /// More elements than an array of these are refused: the announcement alone costs the sender nothing.
    private static let mostElements = 4 << 20

    private static func grow(_ task: UnsafePointer<redisReadTask>?) -> UnsafeMutablePointer<RESPReply>? {
        task?.pointee.privdata?.assumingMemoryBound(to: RESPReply.self)
    }

    /// hiredis wants an object for each part; any pointer but nil says that there is one.
    private static func object(_ task: UnsafePointer<redisReadTask>?) -> UnsafeMutableRawPointer? {
        task?.pointee.privdata
    }

    // Unsafe: written once, here, before any reader has it; hiredis only reads it.
    nonisolated(unsafe) private static let functions: UnsafeMutablePointer<redisReplyObjectFunctions> = {
        let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        var own = redisReplyObjectFunctions()
        own.createString = { task, text, count in
            guard let task, let growing = RESPReader.grow(task) else { return nil }
            // `count` bytes stand at `text` for the length of the call.
            let content = UnsafeRawBufferPointer(start: text, count: max(0, count))
            switch task.pointee.type {
            case REDIS_REPLY_STATUS: growing.pointee.append(.status, content)
            case REDIS_REPLY_ERROR: growing.pointee.append(.error, content)
            default: growing.pointee.append(.bytes, content)
            }
            return RESPReader.object(task)
        }
        own.createArray = { task, count in
            guard Int(count) <= RESPReader.mostElements, let growing = RESPReader.grow(task) else { return nil }
            growing.pointee.append(.array, number: max(0, Int64(count)))
            return RESPReader.object(task)
        }
        own.createInteger = { task, value in
            guard let growing = RESPReader.grow(task) else { return nil }
            growing.pointee.append(.integer, number: Int64(value))
            return RESPReader.object(task)
        }
        own.createNil = { task in
            guard let growing = RESPReader.grow(task) else { return nil }
            growing.pointee.append(.null)
            return RESPReader.object(task)
        }
        own.freeObject = { _ in }
        functions.initialize(to: own)
        return functions
    }()

    deinit {
        redisReaderFree(reader)
        growing.deinitialize(count: 1)
        growing.deallocate()
    }

    /// Takes the next bytes.
    public func feed(_ bytes: Span<UInt8>) throws(RESPError) {
        buffered += bytes.count
        guard buffered <= Self.maximumReply else { throw RESPError(description: "A reply is larger than 256 MiB.") }
        // hiredis copies the bytes within the call.
        let failed = bytes.withUnsafeBytes { raw in
            redisReaderFeed(reader, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count) != REDIS_OK
        }
        if failed { throw error() }
    }

    /// The next whole reply; nil where more bytes are needed.
    public func next() throws(RESPError) -> RESPValue? {
        try nextReply()?.value
    }

    /// The same without an object for each of its parts. Who lets go of one before asking for the next lets its memory be used again.
    public func nextReply() throws(RESPError) -> RESPReply? {
        if isTaken {
            growing.pointee.clear()
            isTaken = false
        }
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &raw) == REDIS_OK else { throw error() }
        guard raw != nil else { return nil }
        buffered = reader.pointee.len - reader.pointee.pos
        isTaken = true
        return growing.pointee
    }

    private func error() -> RESPError {
        let text = withUnsafeBytes(of: reader.pointee.errstr) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RESPError(description: "Redis sent what is no RESP: \(text.isEmpty ? "out of memory" : text)")
    }
}

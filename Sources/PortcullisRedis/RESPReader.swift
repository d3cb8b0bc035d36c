import CHiredis

/// What Redis sends that is no RESP2, or larger than anything a gate asks for. The link is dropped.
public struct RESPError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// Turns the bytes of a link into replies: the one owner of a hiredis reader.
public final class RESPReader {
    // Owned: made in init, freed in deinit, never handed out.
    private let reader: UnsafeMutablePointer<redisReader>
    private var buffered = 0

    /// More bytes than this without a whole reply are an error.
    private static let maximumReply = 256 << 20

    /// nil where memory has run out.
    public init?() {
        guard let reader = redisReaderCreateWithFunctions(Self.functions) else { return nil }
        self.reader = reader
    }

    /// hiredis makes room for all elements that an array announces before the first has come: more than these are refused.
    private static let mostElements = 4 << 20

    // Unsafe: written once, here, before any reader has it; hiredis only reads it.
    nonisolated(unsafe) private static let functions: UnsafeMutablePointer<redisReplyObjectFunctions>? = {
        guard var own = defaults else { return nil }
        own.createArray = { task, count in
            Int(count) <= RESPReader.mostElements ? RESPReader.defaults?.createArray?(task, count) : nil
        }
        let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        functions.initialize(to: own)
        return functions
    }()

    /// The functions that hiredis gives a reader, which make `redisReply` objects; it names them nowhere else.
    private static let defaults: redisReplyObjectFunctions? = {
        guard let reader = redisReaderCreate() else { return nil }
        defer { redisReaderFree(reader) }
        return reader.pointee.fn.pointee
    }()

    deinit {
        redisReaderFree(reader)
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
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &raw) == REDIS_OK else { throw error() }
        guard let raw else { return nil }
        buffered = reader.pointee.len - reader.pointee.pos
        // The reader makes `redisReply` objects (hiredis' own functions); this one is owned here and freed after the copy.
        defer { freeReplyObject(raw) }
        return Self.value(raw.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private func error() -> RESPError {
        let text = withUnsafeBytes(of: reader.pointee.errstr) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RESPError(description: "Redis sent what is no RESP: \(text.isEmpty ? "out of memory" : text)")
    }

    /// Copies a reply. The recursion is as deep as hiredis' own stack: nine.
    private static func value(_ reply: redisReply) -> RESPValue {
        func bytes() -> [UInt8] {
            guard let start = reply.str else { return [] }
            // `len` bytes stand at `str` for every kind of reply that has one.
            return Array(UnsafeRawBufferPointer(start: start, count: Int(reply.len)))
        }
        switch reply.type {
        case REDIS_REPLY_STRING: return .bytes(bytes())
        case REDIS_REPLY_STATUS: return .status(bytes())
        case REDIS_REPLY_ERROR: return .error(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            guard let elements = reply.element else { return .array([]) }
            // `elements` pointers stand at `element`, each to a reply that the parent owns.
            return .array((0..<Int(reply.elements)).map { elements[$0].map { value($0.pointee) } ?? .null })
        default: return .null
        }
    }
}

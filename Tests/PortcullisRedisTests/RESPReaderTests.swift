import PortcullisRedis
import TestKit
import Testing

@Suite struct RESPReaderTests {
    /// Every kind of reply, one behind the other.
    static let transcript =
        "+OK\r\n-ERR no such key\r\n:42\r\n:-9223372036854775808\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
        + "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\u{E9}\r\n*2\r\n*2\r\n:1\r\n$-1\r\n*1\r\n*1\r\n+x\r\n+\r\n"

    static let replies: [RESPValue] = [
        .status(Array("OK".utf8)), .error("ERR no such key"), .integer(42), .integer(.min),
        .bytes(Array("he\r\no".utf8)),
        .bytes([]), .null, .null, .array([]), .array([text("message"), text("c"), text("\u{E9}")]),
        .array([.array([.integer(1), .null]), .array([.array([.status(Array("x".utf8))])])]), .status([]),
    ]

    static func text(_ text: String) -> RESPValue {
        .bytes(Array(text.utf8))
    }

    func drain(_ reader: RESPReader) throws(RESPError) -> [RESPValue] {
        var values: [RESPValue] = []
        while let value = try reader.next() { values.append(value) }
        return values
    }

    func read(_ parts: [ArraySlice<UInt8>]) throws -> [RESPValue] {
        let reader = try #require(RESPReader())
        var values: [RESPValue] = []
        for part in parts {
            try reader.feed(Array(part).span)
            values += try drain(reader)
        }
        return values
    }

    @Test func atOnce() throws {
        #expect(try read([Array(Self.transcript.utf8)[...]]) == Self.replies)
    }

    @Test func inEverySplit() throws {
        let bytes = Array(Self.transcript.utf8)
        for split in bytes.indices { #expect(try read([bytes[..<split], bytes[split...]]) == Self.replies) }
        for size in 1...9 {
            let parts = stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
            #expect(try read(parts) == Self.replies)
        }
    }

    /// The parts of a reply are found where they lie.
    @Test func partsWhereTheyLie() throws {
        let text = "*4\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n$2\r\nbc\r\n*-1\r\n-no\r\n:7\r\n"
        let reader = try #require(RESPReader())
        try reader.feed(Array(text.utf8).span)
        let found = try reader.nextReply()
        let reply = try #require(found)
        #expect(reply.list(at: 0) == 4 && reply.list(at: 1) == 2 && reply.list(at: 3) == 2 && reply.list(at: 5) == 0)
        #expect(reply.end(of: 0) == 9 && reply.end(of: 1) == 6 && reply.end(of: 3) == 6 && reply.end(of: 5) == 6)
        #expect(reply.end(of: 6) == 7 && reply.list(at: 9) == nil && reply.list(at: -1) == nil)
        #expect(reply.string(at: 6) == 1..<3 && Array(reply.bytes[1..<3]) == Array("bc".utf8))
        #expect(reply.string(at: 0) == nil && reply.string(at: 7) == nil && reply.string(at: 9) == nil)
        #expect(reply.errorText == nil)
        #expect(
            reply.value
                == .array([
                    .array([Self.text("a"), .array([.integer(1), .array([])])]), Self.text("bc"), .null, .error("no"),
                ])
        )
        #expect(try reader.next() == .integer(7))
        let last = try reader.nextReply()
        #expect(last?.bytes == nil)
    }

    /// Their memory is used again, but never while somebody holds it.
    @Test func aReplyThatIsKeptStaysAsItIs() throws {
        let reader = try #require(RESPReader())
        try reader.feed(Array("*2\r\n$3\r\nabc\r\n:7\r\n$2\r\nde\r\n*1\r\n$4".utf8).span)
        let first = try reader.nextReply()
        let second = try reader.nextReply()
        #expect(try reader.next() == nil)
        try reader.feed(Array("\r\nfghi\r\n".utf8).span)
        let third = try reader.nextReply()
        #expect(try reader.next() == nil)
        #expect(first?.value == .array([Self.text("abc"), .integer(7)]))
        #expect(first?.integer(at: 2) == 7 && first?.integer(at: 1) == nil && first?.isNull(at: 1) == false)
        #expect(second?.value == Self.text("de"))
        #expect(third?.value == .array([Self.text("fghi")]))
    }

    @Test func nothingComesTooEarly() throws {
        let bytes = Array("*2\r\n$3\r\nabc\r\n:7\r\n".utf8)
        let reader = try #require(RESPReader())
        for byte in bytes.dropLast() {
            try reader.feed([byte].span)
            #expect(try reader.next() == nil)
        }
        try reader.feed([0x0A].span)
        #expect(try reader.next() == .array([Self.text("abc"), .integer(7)]))
        #expect(try reader.next() == nil)
    }

    @Test func aLargeReply() throws {
        let payload = [UInt8](repeating: 0xAA, count: 3 << 20)
        let bytes = Array("$\(payload.count)\r\n".utf8) + payload + Array("\r\n".utf8)
        let parts = stride(from: 0, to: bytes.count, by: 65536).map { bytes[$0..<min($0 + 65536, bytes.count)] }
        #expect(try read(parts) == [.bytes(payload)])
    }

    @Test(arguments: [
        "x", "HTTP/1.1 400 Bad Request\r\n\r\n", "\u{0}\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "*x\r\n",
        "*2147483648\r\n",
        "*99999999999999999999\r\n", "*1\r\nx\r\n", "\r\n",
        // Deeper than anything that Redis says here.
        String(repeating: "*1\r\n", count: 40),
    ])
    func garbage(_ text: String) throws {
        let reader = try #require(RESPReader())
        #expect(throws: RESPError.self) {
            try reader.feed(Array(text.utf8).span)
            _ = try drain(reader)
        }
        // It stays broken: what follows cannot be told from the middle of something.
        #expect(throws: RESPError.self) {
            try reader.feed(Array("+OK\r\n".utf8).span)
            _ = try drain(reader)
        }
    }

    @Test func whatCameBeforeTheGarbageIsRead() throws {
        let reader = try #require(RESPReader())
        try reader.feed(Array("+OK\r\n!\r\n".utf8).span)
        #expect(try reader.next() == .status(Array("OK".utf8)))
        #expect(throws: RESPError.self) { try reader.next() }
    }

    /// Whoever announces much and sends little gets no memory for it.
    @Test(arguments: ["*2147483647\r\n", "*4194305\r\n:1\r\n", "*2\r\n*1000000000\r\n:1\r\n"])
    func hugeArraysAreRefused(_ text: String) throws {
        let reader = try #require(RESPReader())
        try reader.feed(Array(text.utf8).span)
        #expect(throws: RESPError.self) { try reader.next() }
    }

    @Test func aHugeBulkIsWaitedForWithoutMemory() throws {
        let reader = try #require(RESPReader())
        try reader.feed(Array("$2000000000\r\nabc".utf8).span)
        #expect(try reader.next() == nil)
    }

    /// Fuzzing with a fixed seed: any change of the transcript gives replies or an error.
    @Test func mutations() throws {
        var generator = SeededGenerator(seed: 81)
        var failures = 0
        let telling = Array("*$+-:0123456789\r\n\u{0}".utf8)
        for _ in 0..<4000 {
            var bytes = Array(Self.transcript.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let at = Int.random(in: bytes.indices, using: &generator)
                bytes[at] = telling.randomElement(using: &generator) ?? 0
            }
            let whole = Result { try read([bytes[...]]) }
            let cut = Int.random(in: bytes.indices, using: &generator)
            let split = Result { try read([bytes[..<cut], bytes[cut...]]) }
            // The words of an error may differ; whether there is one may not.
            #expect((try? whole.get()) == (try? split.get()))
            if case .failure = whole { failures += 1 }
        }
        #expect((1...3999).contains(failures))
    }

    @Test func faces() {
        #expect(RESPValue.integer(1).integer == 1)
        #expect(RESPValue.integer(1).bytes == nil)
        #expect(RESPValue.status([0x61]).text == "a")
        #expect(RESPValue.error("x").errorText == "x")
        #expect(RESPValue.error("x").text == nil)
        #expect(RESPValue.array([.null]).array == [.null])
        #expect(RESPValue.null.array == nil)
        #expect(RESPValue.null.errorText == nil)
    }
}
